"""Whisper in any format: windows over a sound of any length, one decoding loop for all.

Each format writes `listen` alone. The windows follow one another as in
https://github.com/openai/whisper (transcribe.py): the next begins where the last segment ended.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import zoo
from zoo.tasks import Audio, Segment, Segments, TranscribeOptions, Word
from zoo_whisper.alignment import Alignment
from zoo_whisper.config import FRAMES_PER_SECOND, read_whisper_config
from zoo_whisper.decoding import Decoder, Listening, Text
from zoo_whisper.vocabulary import TIME_STEP, Vocabulary

Part = tuple[float, float, list[int]]
"""Start and end in seconds within a window, and the tokens of the text."""

WARM = 0.5
"""What was decoded at a higher temperature is no prompt for what follows."""


class WhisperModel(zoo.SpeechModel):
    """A Whisper: `listen` is what a format brings.

    Args:
        folder: with the config files and the tokenizer of the checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import WhisperFeatureExtractor

        self.config = read_whisper_config(folder)
        self.vocabulary = Vocabulary(folder, self.config.multilingual)
        self.rate, self.window = self.config.rate, self.config.window
        self._extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)

    @abstractmethod
    def listen(self, samples: Any) -> Listening:
        """Encode a window of samples: float32 of shape (window,)."""

    def features(self, samples: Any) -> Any:
        """The log-mel spectrogram of (window,) samples: float32 of (1, mels, 2 frames)."""
        found = self._extractor(samples, sampling_rate=self.rate, return_tensors="np")
        return found["input_features"]

    def encode(self, text: str) -> list[int]:
        language = "en" if "en" in self.vocabulary.languages else ""
        prompt = self.vocabulary.prompt(language, "transcribe")
        return [*prompt, self.vocabulary.plain, *self.vocabulary.encode(f" {text.strip()}")]

    def logits(self, samples: Any, tokens: Sequence[int]) -> Any:
        self.require_open()
        return self.listen(samples).begin().go_on(tokens)

    def transcribe_segments(
        self, audio: Audio, options: TranscribeOptions, progress: zoo.Progress
    ) -> Segments:
        self.vocabulary.require_language(options.language, options.task)
        if options.words and not self.config.heads:
            raise zoo.InputError(
                f"'{self.ref}' has no alignment heads, by which words are placed in time",
                "ask without words, or take a source whose generation_config.json lists them",
            )
        return self._segments(audio, options, progress)

    def _segments(
        self, audio: Audio, options: TranscribeOptions, progress: zoo.Progress
    ) -> Segments:
        import numpy as np

        decoder = Decoder(self.config, self.vocabulary, options)
        before = self.vocabulary.encode(f" {options.prompt.strip()}") if options.prompt else []
        first, language = list(before), options.language
        sound = _Windows(audio, self.window, progress)
        while (samples := sound.here()) is not None:
            padded = np.zeros(self.window, np.float32)
            padded[: len(samples)] = samples
            heard = self.listen(padded)
            if language is None:
                language = decoder.language(heard)
            prompt = self.vocabulary.prompt(language, options.task)
            room = self.config.context // 2 - 1
            if before:
                prompt = [self.vocabulary.previous, *before[-room:], *prompt]
            text = decoder.text(heard, prompt)
            begin, length = sound.place / self.rate, len(samples) / self.rate
            silent = text.no_speech > options.no_speech_threshold
            if silent and text.log_probability < options.logprob_threshold:
                sound.skip(len(samples))
                continue
            parts, used = _cut(text.tokens, self.vocabulary.zero, length)
            yield from self._said(heard, prompt, options, text, parts, begin, length)
            heard_now = [t for _, _, tokens in parts for t in tokens]
            before = [*before, *heard_now][-room:] if options.condition_on_previous_text else first
            if text.temperature > WARM:
                before = first
            sound.skip(round(used * self.rate))
        return language or ""

    def _said(
        self,
        heard: Listening,
        prompt: Sequence[int],
        options: TranscribeOptions,
        text: Text,
        parts: list[Part],
        begin: float,
        length: float,
    ) -> Iterator[Segment]:
        """The segments of one window that say something."""
        alignment, place = None, 0
        if options.words and parts:
            tokens = [token for _, _, tokens in parts for token in tokens]
            frames = round(length * FRAMES_PER_SECOND)
            alignment = Alignment(heard, self.vocabulary, prompt, tokens, frames)
        for start, end, tokens in parts:
            words: tuple[Word, ...] = ()
            if alignment is not None:
                words = tuple(alignment.words(place, tokens, (start, end), begin))
            place += len(tokens)
            said = self.vocabulary.decode(tokens)
            if said.strip():
                yield Segment(
                    start=round(begin + start, 2),
                    end=round(begin + end, 2),
                    text=said,
                    words=words,
                    log_probability=text.log_probability,
                    no_speech=text.no_speech,
                    temperature=text.temperature,
                )


def _cut(tokens: Sequence[int], zero: int, length: float) -> tuple[list[Part], float]:
    """Segments, and how many seconds of the window they settle.

    Text that goes on at the window's end is left for the next window.
    """
    parts: list[Part] = []
    start, said = 0.0, list[int]()
    for token in tokens:
        if token < zero:
            said.append(token)
            continue
        time = min((token - zero) * TIME_STEP, length)
        if said:
            parts.append((start, time, said))
        start, said = time, []
    if said and not parts:
        return [(start, length, said)], length
    opened = len(tokens) > 0 and tokens[-1] >= zero and len(tokens) > 1 and tokens[-2] >= zero
    if said or opened:
        return parts, parts[-1][1] if parts else length
    if not parts and 0 < start < length:
        return [], start
    return parts, length


class _Windows:
    """A sound of any length, of which little more than a window is in memory."""

    def __init__(self, audio: Audio, window: int, progress: zoo.Progress) -> None:
        import numpy as np

        self.place, self._window, self._blocks = 0, window, audio.blocks()
        self._held = np.empty(0, np.float32)
        self._audio, self._progress, self._long = audio, progress, False

    def here(self) -> Any:
        """The samples from here on, at most a window of them; `None` at the end."""
        import numpy as np

        while len(self._held) < self._window:
            block = next(self._blocks, None)
            if block is None:
                break
            self._held = np.concatenate([self._held, block])
        self._long |= len(self._held) >= self._window
        return self._held[: self._window] if len(self._held) else None

    def skip(self, count: int) -> None:
        """Go on by so many samples, at least by one hundredth of a window.

        Tells how far a sound is that fills a window.
        """
        count = max(count, self._window // 100)
        self.place += min(count, len(self._held))
        self._held = self._held[count:]
        if self._long:
            length = self._audio.seconds
            through = round(self.place / self._audio.rate)
            total = None if length is None else max(through, round(length))
            self._progress.update(through, total, "s")
