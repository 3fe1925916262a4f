"""Which tokens see which, as numbers that are added to the scores of attention."""

from __future__ import annotations

from typing import Any

from zoo.formats.coreml.language.spec import DecoderSpec

CAUSAL, SLIDING = "causalMask", "slidingMask"
"""The inputs of programs: the mask of all layers, and that of those with a window."""

MASKED = -4e4
"""What is added to a score of attention where a token must not see another.

Its exponential is 0 beside any other score, and float16 holds the sum for scores down to -25,504;
the lowest number of float16 overflows for scores below -16, and hardware turns minus infinity into
not-a-number.
"""


def causal_mask(given: int, end: int, window: int | None = None) -> Any:
    """The mask for the last `given` of `end` tokens, each of which sees itself and those before.

    Args:
        given: number of tokens given.
        end: number of tokens up to the last of them.
        window: how many tokens each sees, itself among them; `None` for all.

    Returns: float16 of shape (1, 1, given, end), 0 where a token sees another, elsewhere `MASKED`.
    """
    import numpy as np

    back = np.arange(end - given, end)[:, None] - np.arange(end)[None, :]
    seen = back >= 0
    if window:
        seen &= back < window
    return np.where(seen, 0, MASKED).astype(np.float16)[None, None]


def mask_names(spec: DecoderSpec) -> tuple[str, ...]:
    """The masks that a decoder's programs take."""
    return (CAUSAL, SLIDING) if spec.mixed else (CAUSAL,)


def masks(spec: DecoderSpec, given: int, end: int) -> dict[str, Any]:
    """The masks of a decoder, by the names of the inputs.

    Args:
        spec: the decoder.
        given, end: as for `causal_mask`.
    """
    if not spec.mixed:
        return {CAUSAL: causal_mask(given, end, spec.window)}
    return {CAUSAL: causal_mask(given, end), SLIDING: causal_mask(given, end, spec.window)}
