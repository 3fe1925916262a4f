"""Choose a token from logits, in NumPy, for formats whose runtime leaves that to the caller."""

from __future__ import annotations

from typing import Any

from zoo.tasks.text.options import Sampling

LEAST_TEMPERATURE = 1e-6
"""Below it, dividing by it overflows; the likeliest token has all chances long before."""


class Sampler:
    """Chooses tokens as `sampling` says; the generator keeps its state from call to call.

    The filters look at the model's own distribution and the temperature comes after them, as in
    mlx-lm, so that the same options mean the same in every format.
    """

    def __init__(self, sampling: Sampling) -> None:
        import numpy as np

        self.sampling = sampling
        self._random = np.random.default_rng(sampling.seed)

    def __call__(self, logits: Any) -> int:
        """The token chosen from logits of shape (vocabulary,)."""
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
