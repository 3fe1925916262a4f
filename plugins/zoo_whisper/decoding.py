"""One window's tokens: what may come next, and which text to believe.

The rules of timestamps and the fallback over temperatures are those of
https://github.com/openai/whisper (decoding.py, transcribe.py); beams are ranked by the mean
log-probability of their tokens.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from zoo.tasks import TranscribeOptions
from zoo_whisper.config import WhisperConfig
from zoo_whisper.vocabulary import Vocabulary


class Writing(Protocol):
    """A decoder that listens to one window and remembers the tokens that it was given."""

    def go_on(self, tokens: Sequence[int]) -> Any:
        """The logits after each of further tokens: float32 of shape (tokens, vocabulary)."""

    def fork(self) -> Self:
        """A second one with the same memory, which goes its own way."""


class Listening(Protocol):
    """One window of sound, encoded."""

    def begin(self) -> Writing:
        """A decoder without any tokens yet."""

    def attention(self, tokens: Sequence[int]) -> Any:
        """Where each token looks: (alignment heads, tokens, frames), each row summing to 1."""


@dataclass(frozen=True)
class Text:
    """What was decoded from a window.

    Attributes:
        tokens: text and timestamps, without the prompt and the end.
        log_probability: the mean over the tokens and the end.
        no_speech: probability that nobody speaks.
        temperature: at which it was decoded.
    """

    tokens: tuple[int, ...]
    log_probability: float
    no_speech: float
    temperature: float


@dataclass
class _Beam:
    writing: Writing
    logits: Any
    tokens: tuple[int, ...] = ()
    total: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / max(1, len(self.tokens))


class Decoder:
    """Decodes windows of one model.

    Args:
        config, vocabulary: the model's.
        options: what is asked for.
    """

    def __init__(
        self, config: WhisperConfig, vocabulary: Vocabulary, options: TranscribeOptions
    ) -> None:
        import numpy as np

        self.config, self.vocabulary, self.options = config, vocabulary, options
        special = {vocabulary.start, vocabulary.previous, vocabulary.silent, vocabulary.plain}
        never = {*config.suppress, *special, *vocabulary.languages.values()} - {vocabulary.end}
        self._never = np.array(sorted(never))
        self._random = np.random.default_rng(options.seed)

    def text(self, heard: Listening, prompt: Sequence[int]) -> Text:
        """The first text over the temperatures that is neither repetitive nor unlikely."""
        options = self.options
        writing = heard.begin()
        first = writing.go_on(prompt)
        start = len(prompt) - 1 - list(reversed(prompt)).index(self.vocabulary.start)
        no_speech = float(_probabilities(first[start])[self.vocabulary.silent])
        best = None
        for temperature in options.temperature:
            tokens, mean = self._search(_Beam(writing.fork(), first[-1]), len(prompt), temperature)
            found = Text(tokens, mean, no_speech, temperature)
            if best is None or mean > best.log_probability:
                best = found
            silent = no_speech > options.no_speech_threshold and mean < options.logprob_threshold
            if silent or (mean >= options.logprob_threshold and not self._repetitive(tokens)):
                return found
        assert best is not None
        return best

    def _repetitive(self, tokens: Sequence[int]) -> bool:
        raw = self.vocabulary.decode(tokens).encode()
        limit = self.options.compression_ratio_threshold
        return bool(raw) and len(raw) / len(zlib.compress(raw)) > limit

    def _search(self, root: _Beam, given: int, temperature: float) -> tuple[tuple[int, ...], float]:
        import numpy as np

        width = 1 if temperature > 0 else self.options.beams
        beams, done = [root], []
        room = min(self.config.context // 2, self.config.context - given)
        for step in range(room):
            options = []
            for beam in beams:
                scores = self._allowed(beam.logits, beam.tokens)
                if temperature > 0:
                    noise = self._random.gumbel(size=scores.shape)
                    chosen = [int((scores / temperature + noise).argmax())]
                else:
                    chosen = [int(t) for t in np.argsort(-scores, kind="stable")[:width]]
                options += [(beam.total + float(scores[t]), beam, t) for t in chosen]
            options.sort(key=lambda option: -option[0])
            chosen_now, beams, used = options[:width], [], set()
            for total, beam, token in chosen_now:
                tokens = (*beam.tokens, token)
                if token == self.vocabulary.end or step == room - 1:
                    done.append(_Beam(beam.writing, None, tokens, total))
                    continue
                last = id(beam) in used or sum(other is beam for _, other, _ in chosen_now) > 1
                writing = beam.writing.fork() if last else beam.writing
                used.add(id(beam))
                beams.append(_Beam(writing, writing.go_on([token])[-1], tokens, total))
            if len(done) >= width or not beams:
                break
        best = max(done or beams, key=lambda beam: beam.mean)
        return tuple(t for t in best.tokens if t != self.vocabulary.end), best.mean

    def _allowed(self, logits: Any, tokens: Sequence[int]) -> Any:
        """Log-probabilities, minus infinity where a token must not come next."""
        import numpy as np

        v = self.vocabulary
        scores = np.array(logits, np.float64)
        scores[self._never] = -np.inf
        if not tokens:
            scores[: v.zero] = -np.inf
            scores[v.zero + self.config.first_time + 1 :] = -np.inf
            return _log_softmax(scores)
        times = [t for t in tokens if t >= v.zero]
        if tokens[-1] >= v.zero:
            if len(tokens) < 2 or tokens[-2] >= v.zero:
                scores[v.zero :] = -np.inf
            else:
                scores[: v.end] = -np.inf
        if times:
            closes = tokens[-1] >= v.zero and not (len(tokens) < 2 or tokens[-2] >= v.zero)
            scores[v.zero : times[-1] + (0 if closes else 1)] = -np.inf
        if len(tokens) == 1 and self.config.begin_suppress:
            scores[[t for t in self.config.begin_suppress if t != v.end]] = -np.inf
        found = _log_softmax(scores)
        if np.logaddexp.reduce(found[v.zero :]) > found[: v.zero].max():
            scores[: v.zero] = -np.inf
            found = _log_softmax(scores)
        return found

    def language(self, heard: Listening) -> str:
        """The likeliest language of a window."""
        if not self.vocabulary.languages:
            return "en"
        logits = heard.begin().go_on([self.vocabulary.start])[-1]
        return max(self.vocabulary.languages.items(), key=lambda item: logits[item[1]])[0]


def _log_softmax(scores: Any) -> Any:
    import numpy as np

    return scores - np.logaddexp.reduce(scores)


def _probabilities(logits: Any) -> Any:
    import numpy as np

    return np.exp(_log_softmax(np.asarray(logits, np.float64)))
