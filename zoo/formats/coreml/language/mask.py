"""Attention masks, which are added to the attention scores."""

from __future__ import annotations

from typing import Any

from zoo.formats.coreml.language.spec import DecoderSpec

CAUSAL, SLIDING = "causalMask", "slidingMask"
"""The mask inputs of a program: for full-attention layers, and for sliding-window layers."""

MASKED = -4e4
"""The value of masked positions.

Softmax turns it into 0, and the sum with a score fits in float16 for scores down to -25,504. The
lowest float16 value would overflow for scores below -16, and -inf becomes NaN on a device.
"""


def causal_mask(given: int, end: int, window: int | None = None) -> Any:
    """Return the causal mask for the last `given` of `end` tokens.

    Args:
        given: number of new tokens.
        end: number of all tokens, including the new ones.
        window: sliding window in tokens, including the current one; `None` for full attention.

    Returns: float16 of shape (1, 1, given, end): 0 where a token attends, `MASKED` elsewhere.
    """
    import numpy as np

    back = np.arange(end - given, end)[:, None] - np.arange(end)[None, :]
    seen = back >= 0
    if window:
        seen &= back < window
    return np.where(seen, 0, MASKED).astype(np.float16)[None, None]


def mask_names(spec: DecoderSpec) -> tuple[str, ...]:
    """Return the names of the mask inputs of a decoder's programs."""
    return (CAUSAL, SLIDING) if spec.mixed else (CAUSAL,)


def masks(spec: DecoderSpec, given: int, end: int) -> dict[str, Any]:
    """Return the masks of a decoder by input name.

    Args:
        spec: the decoder.
        given, end: as for `causal_mask`.
    """
    if not spec.mixed:
        return {CAUSAL: causal_mask(given, end, spec.window)}
    return {CAUSAL: causal_mask(given, end), SLIDING: causal_mask(given, end, spec.window)}
