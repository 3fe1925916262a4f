"""Audio of any length: the loop over windows of openai-whisper.

https://github.com/openai/whisper/blob/main/whisper/transcribe.py, rule by rule: where a window
begins, what its prompt is, what counts as silence, and what the word times change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import zoo
from zoo.tasks import Audio, Segment, Segments, TranscribeOptions, Word
from zoo_whisper.alignment import align
from zoo_whisper.config import HOP
from zoo_whisper.decoding import Decoder, Listening, Text
from zoo_whisper.segments import FRAMES_PER_STEP, Part, cut
from zoo_whisper.timing import first_invented, is_anomaly, last_word_end, place_words
from zoo_whisper.windows import Windows, clips

if TYPE_CHECKING:
    from zoo_whisper.model import WhisperModel

WARM = 0.5
"""What was decoded at a higher temperature is no prompt for what follows."""


class Prompt:
    """The text before a window: what the caller gave, and what was transcribed so far.

    Args:
        initial: tokens that the caller gave.
        carry: whether these stand before every window.
        room: tokens that a prompt may have.
    """

    def __init__(self, initial: list[int], *, carry: bool, room: int) -> None:
        self._initial, self._carry, self._room = initial, carry, room
        self._before, self._fresh = list[int](), True

    def tokens(self) -> list[int]:
        """The prompt of the next window."""
        before = self._before
        if self._carry:
            left = self._room - len(self._initial)
            before = before[-left:] if left > 0 else []
        initial = self._initial if self._carry or self._fresh else []
        return [*initial, *before][-self._room :]

    def add(self, tokens: list[int]) -> None:
        """Let the text of a window, with its times, stand before the next."""
        self._before = [*self._before, *tokens][-self._room :]

    def clear(self) -> None:
        """Forget everything but a prompt that is carried."""
        self._before, self._fresh = [], False


class Loop:
    """One transcription.

    Args:
        model: whose windows are decoded.
        options: what is asked for.
        language: its code; `None` finds it in the first window.
        task: `transcribe` or `translate`.
    """

    def __init__(
        self, model: WhisperModel, options: TranscribeOptions, language: str | None, task: str
    ) -> None:
        self._model, self._options, self._task = model, options, task
        self._config, self._vocabulary = model.config, model.vocabulary
        self._language = language or ""
        self._decoder = Decoder(model.config, model.vocabulary, options)
        self._rate = model.rate / HOP
        self._frames = model.config.frames * FRAMES_PER_STEP
        self._last_speech = 0.0

    def run(self, audio: Audio, progress: zoo.Progress) -> Segments:
        """The segments in order; returns the language."""
        given = self._options.prompt.strip()
        prompt = Prompt(
            self._vocabulary.encode(f" {given}") if given else [],
            carry=self._options.carry_initial_prompt,
            room=self._config.context // 2 - 1,
        )
        windows = Windows(audio, self._model.window, HOP, progress)
        if not self._language and len(samples := windows.at(0, self._frames)):
            self._language = self._decoder.language(self._listen(samples))
        for begin, end in clips(self._options.clip_timestamps, self._rate):
            seek = begin
            while end is None or seek < end:
                left = self._frames if end is None else min(self._frames, end - seek)
                samples = windows.at(seek, left)
                if not len(samples):
                    break
                parts, following = self._window(windows, samples, seek, prompt)
                yield from parts
                seek = max(following, seek + 1)
                windows.done(seek)
        return self._language

    def _listen(self, samples: Any) -> Listening:
        import numpy as np

        padded = np.zeros(self._model.window, np.float32)
        padded[: len(samples)] = samples
        return self._model.listen(padded)

    def _window(
        self, windows: Windows, samples: Any, seek: int, prompt: Prompt
    ) -> tuple[list[Segment], int]:
        """The segments of the window at frame `seek`, and the frame of the next."""
        frames = len(samples) // HOP
        window = self._listen(samples)
        start = self._vocabulary.prompt(self._language, self._task)
        text = self._decoder.text(window, self._given(prompt, start))
        if self._decoder.is_silent(text):
            return [], seek + frames
        offset = seek / self._rate
        found = cut(text.tokens, self._vocabulary, offset, frames, self._rate)
        parts, following = found.parts, seek + found.advance
        if self._options.words:
            self._place_words(window, parts, start, offset, frames)
            end = last_word_end(parts)
            if not found.closed and end is not None and end > offset:
                following = round(end * self._rate)
            if self._options.hallucination_silence_threshold is not None:
                skipped = self._skip_invented(windows, parts, found.closed, seek, frames, following)
                if skipped is None:
                    return [], self._after_lead(parts, seek)
                following = skipped
            end = last_word_end(parts)
            self._last_speech = self._last_speech if end is None else end
        for part in parts:
            if part.start == part.end or not part.text.strip():
                part.text, part.tokens, part.words = "", [], []
        prompt.add([token for part in parts for token in part.tokens])
        if not self._options.condition_on_previous_text or text.temperature > WARM:
            prompt.clear()
        return list(self._segments(parts, text)), following

    def _given(self, prompt: Prompt, start: list[int]) -> list[int]:
        """All that the decoder is given before it writes."""
        before, prefix = prompt.tokens(), self._options.prefix.strip()
        given = [self._vocabulary.previous, *before, *start] if before else list(start)
        if self._options.without_timestamps:
            given.append(self._vocabulary.plain)
        if prefix:
            given += self._vocabulary.encode(f" {prefix}")
        if len(given) >= self._config.context:
            raise zoo.InputError(
                f"prefix has {len(given) - len(start)} tokens with the prompt, and the model takes "
                f"{self._config.context} in all",
                "give a shorter prefix",
            )
        return given

    def _place_words(
        self, window: Listening, parts: list[Part], start: list[int], offset: float, frames: int
    ) -> None:
        texts = [[t for t in part.tokens if self._vocabulary.is_text(t)] for part in parts]
        timings = align(
            window,
            self._vocabulary,
            start,
            [token for text in texts for token in text],
            language=self._language,
            frames=frames // FRAMES_PER_STEP,
            smoothed=self._config.smoothed,
        )
        place_words(
            parts,
            timings,
            [len(text) for text in texts],
            offset=offset,
            last_speech=self._last_speech,
            prepended=self._options.prepend_punctuations,
            appended=self._options.append_punctuations,
        )

    def _after_lead(self, parts: list[Part], seek: int) -> int:
        """Behind the silence before the first words."""
        first = next(part for part in parts if part.words)
        return seek + round((first.start - seek / self._rate) * self._rate)

    def _skip_invented(
        self,
        windows: Windows,
        parts: list[Part],
        closed: bool,
        seek: int,
        frames: int,
        following: int,
    ) -> int | None:
        """Leave out strange text amid silence.

        Returns: the frame of the next window; `None` when this one begins with silence before a
            strange segment, and is decoded again behind it.
        """
        threshold = self._options.hallucination_silence_threshold or 0.0
        begin, window_end = seek / self._rate, (seek + self._frames) / self._rate
        end = last_word_end(parts)
        if not closed and end is not None and end > begin:
            open_end = window_end - end > threshold
            following = round(end * self._rate) if open_end else seek + frames
        first = next((part for part in parts if part.words), None)
        if first is not None and is_anomaly(first) and first.start - begin > threshold:
            return None
        place = first_invented(
            parts,
            threshold=threshold,
            last_speech=self._last_speech,
            begin=begin,
            end=begin + frames / self._rate,
            window_end=window_end,
        )
        if place is not None:
            part = parts[place]
            following = round(max(begin + 1, part.start) * self._rate)
            limit = round((part.end + threshold) * self._rate)
            if windows.ends_before(limit):
                following = max(following, limit)
            del parts[place:]
        return following

    def _segments(self, parts: list[Part], text: Text) -> Iterator[Segment]:
        """Those parts that say something."""
        for part in parts:
            if part.text.strip():
                yield Segment(
                    start=round(part.start, 3),
                    end=round(part.end, 3),
                    text=part.text,
                    words=tuple(
                        Word(w.text, round(w.start, 3), round(w.end, 3), w.probability)
                        for w in part.words
                    ),
                    avg_logprob=text.avg_logprob,
                    no_speech_prob=text.no_speech_prob,
                    temperature=text.temperature,
                    compression_ratio=text.compression_ratio,
                    tokens=tuple(part.tokens),
                )
