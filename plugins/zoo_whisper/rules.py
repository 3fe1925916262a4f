"""Which tokens may come next: the rules of openai-whisper's decoding.py.

https://github.com/openai/whisper/blob/main/whisper/decoding.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.tasks import TranscribeOptions
from zoo_whisper.config import WhisperConfig
from zoo_whisper.vocabulary import TIME_STEP, Vocabulary

CHECKPOINTS_OWN = -1
"""In `suppress_tokens`, the list of the checkpoint."""


class Rules:
    """What `options` let a model write."""

    def __init__(
        self, config: WhisperConfig, vocabulary: Vocabulary, options: TranscribeOptions
    ) -> None:
        import numpy as np

        self._vocabulary = v = vocabulary
        self._timed = not options.without_timestamps
        never = set(options.suppress_tokens) - {CHECKPOINTS_OWN}
        if CHECKPOINTS_OWN in options.suppress_tokens:
            never |= set(v.not_said if config.suppress is None else config.suppress)
        if options.suppress_tokens:
            never |= v.never_written
        size = config.vocabulary
        self._never = np.array(sorted(t for t in never if 0 <= t < size and t != v.end), np.int64)
        self._beyond = v.size
        blank = {*config.begin_suppress, v.end} if options.suppress_blank else set()
        self._first_never = np.array(sorted(t for t in blank if 0 <= t < size), np.int64)
        asked = options.max_initial_timestamp
        limit = config.first_time if asked is None else round(asked / TIME_STEP)
        self._first_time = None if asked == 0 else limit
        self._times = slice(v.zero, min(v.last + 1, size))

    def apply(self, logits: Any, tokens: Sequence[int]) -> Any:
        """Log-probabilities of the next token, minus infinity where it must not come.

        Args:
            logits: (vocabulary,).
            tokens: written so far, without the prompt.

        Returns: float64 of shape (vocabulary,).
        """
        import numpy as np

        scores = np.array(logits, np.float64)
        scores[self._beyond :] = -np.inf
        if not tokens:
            scores[self._first_never] = -np.inf
        scores[self._never] = -np.inf
        if not self._timed:
            return log_softmax(scores)
        self._pair_times(scores, tokens)
        if not tokens:
            kept = scores[self._times].copy()
            scores[:] = -np.inf
            scores[self._times] = kept
            if self._first_time is not None:
                scores[self._vocabulary.zero + self._first_time + 1 :] = -np.inf
        found = log_softmax(scores)
        text = np.ones(len(found), bool)
        text[self._times] = False
        if np.logaddexp.reduce(found[self._times]) > found[text].max():
            scores[text] = -np.inf
            found = log_softmax(scores)
        return found

    def _pair_times(self, scores: Any, tokens: Sequence[int]) -> None:
        """Timestamps come in pairs and do not go back; a segment has some length."""
        import numpy as np

        v = self._vocabulary
        scores[v.plain] = -np.inf
        after_time = len(tokens) >= 1 and v.is_time(tokens[-1])
        paired = len(tokens) < 2 or v.is_time(tokens[-2])
        if after_time and paired:
            scores[self._times] = -np.inf
        elif after_time:
            scores[: v.end] = -np.inf
            scores[v.last + 1 :] = -np.inf
        times = [token for token in tokens if v.is_time(token)]
        if times:
            scores[v.zero : times[-1] + (0 if after_time and not paired else 1)] = -np.inf


def log_softmax(scores: Any) -> Any:
    """Logarithms of probabilities, of shape (vocabulary,)."""
    import numpy as np

    return scores - np.logaddexp.reduce(scores)
