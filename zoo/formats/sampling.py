"""Choose a token from logits, in NumPy, for formats whose runtime leaves that to the caller."""

from __future__ import annotations

from typing import Any

from zoo.tasks.text.options import Sampling

LEAST_TEMPERATURE = 1e-6
"""Below it, dividing by it overflows; the likeliest token has all chances long before."""


class Sampler:
    """Samples token ids from logits, in NumPy.

    Implements nucleus sampling (https://arxiv.org/abs/1904.09751), top-k
    (https://arxiv.org/abs/1805.04833) and min-p (https://arxiv.org/abs/2407.01082). Filters apply
    before the temperature, as in mlx-lm, so options have the same meaning in every format. Calls of
    one sampler continue its random sequence.

    Args:
        sampling: the options.
    """

    def __init__(self, sampling: Sampling) -> None:
        import numpy as np

        self.sampling = sampling
        self._random = np.random.default_rng(sampling.seed)

    def __call__(self, logits: Any) -> int:
        """Sample a token id from float logits of shape (vocabulary,)."""
        import numpy as np

        if self.sampling.temperature == 0:
            return int(logits.argmax())
        order = np.argsort(-np.asarray(logits, np.float64), kind="stable")
        scores = np.asarray(logits, np.float64)[order]
        kept = self._kept(_softmax(scores))
        chances = _softmax(
            (scores[:kept] - scores[0]) / max(self.sampling.temperature, LEAST_TEMPERATURE)
        )
        return int(order[self._random.choice(kept, p=chances)])

    def _kept(self, chances: Any) -> int:
        """How many of the likeliest tokens the filters leave; at least one.

        Args:
            chances: probabilities, falling.
        """
        import numpy as np

        kept = len(chances)
        if self.sampling.top_p < 1:
            before = np.cumsum(chances) - chances
            kept = min(kept, int((before < self.sampling.top_p).sum()))
        if self.sampling.min_p > 0:
            kept = min(kept, int((chances >= self.sampling.min_p * chances[0]).sum()))
        if self.sampling.top_k > 0:
            kept = min(kept, self.sampling.top_k)
        return max(kept, 1)


def _softmax(scores: Any) -> Any:
    import numpy as np

    powers = np.exp(scores - scores.max())
    return powers / powers.sum()
