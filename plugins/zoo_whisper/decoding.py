"""One window's tokens: search at a temperature, and which temperature to believe.

The rules are those of https://github.com/openai/whisper (decoding.py and `decode_with_fallback` of
transcribe.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from zoo.tasks import TranscribeOptions
from zoo_whisper.config import WhisperConfig
from zoo_whisper.rules import Rules, log_softmax
from zoo_whisper.vocabulary import Vocabulary


class Writing(Protocol):
    """A decoder of one window that remembers the tokens it was given."""

    def go_on(self, tokens: Sequence[int]) -> Any:
        """The logits after each of further tokens: float32 of shape (tokens, vocabulary)."""

    def fork(self) -> Self:
        """A second one with the same memory, which goes its own way."""


class Listening(Protocol):
    """One window of audio, encoded."""

    def begin(self) -> Writing:
        """A decoder without any tokens yet."""

    def attention(self, tokens: Sequence[int]) -> Any:
        """Cross-attention of shape (alignment heads, tokens, frames); each row sums to 1."""


@dataclass(frozen=True)
class Text:
    """What was decoded from a window.

    Attributes:
        tokens: text and timestamps, without the prompt and the end.
        avg_logprob: the mean log-probability over the tokens and the end.
        no_speech_prob: probability that nobody speaks.
        temperature: at which it was decoded.
        compression_ratio: bytes of the text over those that zlib makes of it.
    """

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    temperature: float
    compression_ratio: float


@dataclass
class _Beam:
    """A text as far as it is written, with the logits of what comes next."""

    writing: Writing
    logits: Any
    tokens: tuple[int, ...] = ()
    total: float = 0.0


Candidate = tuple[tuple[int, ...], float]
"""The tokens of a text, without the end, and the sum of their log-probabilities."""


class Decoder:
    """Decodes windows of one model."""

    def __init__(
        self, config: WhisperConfig, vocabulary: Vocabulary, options: TranscribeOptions
    ) -> None:
        import numpy as np

        self.config, self.vocabulary, self.options = config, vocabulary, options
        self._rules = Rules(config, vocabulary, options)
        self._random = np.random.default_rng(options.seed)

    def text(self, window: Listening, prompt: Sequence[int]) -> Text:
        """The text at the first temperature where it is neither repetitive nor unlikely.

        Where there is none, that at the last temperature.
        """
        import numpy as np

        writing = window.begin()
        first = writing.go_on(prompt)
        start = len(prompt) - 1 - list(reversed(prompt)).index(self.vocabulary.start)
        scores = np.asarray(first[start], np.float64)
        no_speech = float(np.exp(log_softmax(scores)[self.vocabulary.silent]))
        for temperature in self.options.temperature:
            root = _Beam(writing.fork(), first[-1])
            tokens, total = self._search(root, len(prompt), temperature)
            mean = total / (len(tokens) + 1)
            ratio = compression_ratio(self.vocabulary.decode(tokens).strip())
            found = Text(tokens, mean, no_speech, temperature, ratio)
            if not self._fails(found):
                break
        return found

    def _fails(self, text: Text) -> bool:
        """Whether to try the next temperature."""
        options = self.options
        ratio, likely = options.compression_ratio_threshold, options.logprob_threshold
        unlikely = likely is not None and text.avg_logprob < likely
        silent = options.no_speech_threshold
        if unlikely and silent is not None and text.no_speech_prob > silent:
            return False
        return unlikely or (ratio is not None and text.compression_ratio > ratio)

    def is_silent(self, text: Text) -> bool:
        """Whether the window is taken to have no speech."""
        silent, likely = self.options.no_speech_threshold, self.options.logprob_threshold
        if silent is None or text.no_speech_prob <= silent:
            return False
        return likely is None or text.avg_logprob <= likely

    def _search(self, root: _Beam, given: int, temperature: float) -> Candidate:
        room = self.options.sample_len or self.config.context // 2
        room = max(1, min(room, self.config.context - given + 1))
        if temperature == 0 and self.options.beams > 1:
            found = self._beams(root, room)
        else:
            count = (self.options.best_of or 1) if temperature > 0 else 1
            roots = [root, *(_fork(root) for _ in range(count - 1))]
            found = [self._sample(beam, room, temperature) for beam in roots]
        return max(found, key=self._rank)

    def _rank(self, candidate: Candidate) -> float:
        tokens, total = candidate
        penalty = self.options.length_penalty
        length = max(1, len(tokens))
        return total / (length if penalty is None else ((5 + length) / 6) ** penalty)

    def _sample(self, beam: _Beam, room: int, temperature: float) -> Candidate:
        """One text: of the likeliest tokens, or of random ones at a temperature above 0."""
        for step in range(room):
            scores = self._rules.apply(beam.logits, beam.tokens)
            if temperature > 0:
                noise = self._random.gumbel(size=scores.shape)
                token = int((scores / temperature + noise).argmax())
            else:
                token = int(scores.argmax())
            beam.total += float(scores[token])
            if token == self.vocabulary.end:
                break
            beam.tokens = (*beam.tokens, token)
            if step < room - 1:
                beam.logits = beam.writing.go_on([token])[-1]
        return beam.tokens, beam.total

    def _beams(self, root: _Beam, room: int) -> list[Candidate]:
        """Texts of beam search, finished or not."""
        width, end = self.options.beams, self.vocabulary.end
        most = round(width * (self.options.patience or 1.0))
        beams, finished = [root], list[Candidate]()
        for step in range(room):
            options = self._next(beams, width + 1)
            kept, ended = list[tuple[float, _Beam, int]](), list[Candidate]()
            for total, beam, token in options:
                if token == end:
                    ended.append((beam.tokens, total))
                    continue
                kept.append((total, beam, token))
                if len(kept) == width:
                    break
            finished += ended[: max(0, most - len(finished))]
            beams = _grown(kept, compute=step < room - 1 and len(finished) < most)
            if len(finished) >= most or not beams:
                break
        rest = sorted(((beam.tokens, beam.total) for beam in beams), key=lambda pair: -pair[1])
        return [*finished, *rest[: max(0, width - len(finished))]]

    def _next(self, beams: list[_Beam], count: int) -> list[tuple[float, _Beam, int]]:
        """The likeliest next tokens of each text, the likeliest text first."""
        import numpy as np

        options = []
        for beam in beams:
            scores = self._rules.apply(beam.logits, beam.tokens)
            for token in np.argsort(-scores, kind="stable")[:count]:
                if np.isfinite(scores[token]):
                    options.append((beam.total + float(scores[token]), beam, int(token)))
        return sorted(options, key=lambda option: -option[0])

    def language(self, window: Listening) -> str:
        """The likeliest language of a window."""
        if not self.vocabulary.languages:
            return "en"
        logits = window.begin().go_on([self.vocabulary.start])[-1]
        return max(self.vocabulary.languages.items(), key=lambda item: logits[item[1]])[0]


def _fork(beam: _Beam) -> _Beam:
    return _Beam(beam.writing.fork(), beam.logits, beam.tokens, beam.total)


def _grown(kept: list[tuple[float, _Beam, int]], *, compute: bool) -> list[_Beam]:
    """Beams with one more token; the last that extends a beam takes its memory."""
    left = {id(beam): 0 for _, beam, _ in kept}
    for _, beam, _ in kept:
        left[id(beam)] += 1
    grown = []
    for total, beam, token in kept:
        left[id(beam)] -= 1
        writing, logits = beam.writing, None
        if compute:
            writing = writing.fork() if left[id(beam)] else writing
            logits = writing.go_on([token])[-1]
        grown.append(_Beam(writing, logits, (*beam.tokens, token), total))
    return grown


def compression_ratio(text: str) -> float:
    """Bytes of a text over those that zlib makes of it."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
