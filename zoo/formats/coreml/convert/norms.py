"""Norms as Core ML programs for the Neural Engine compute them."""

from __future__ import annotations

from typing import Any

WIDEST = 16_384
"""The longest axis that the Neural Engine takes."""


def rms_norm(x: Any, gain: Any, eps: float, axis: int = 1) -> Any:
    """RMSNorm without a square that overflows float16, and without a float32 operation.

    The mean of [x, -x] is zero and its variance the mean square of x, so `layer_norm`, which the
    Neural Engine has as one operation, gives [x, -x] divided by the root of that mean square. The
    way is that of https://github.com/Anemll/Anemll.

    Args:
        x: float16 of rank 4.
        gain: float16, to be multiplied with the result; of a shape that fits it.
        eps: added to the mean square.
        axis: the one to normalize over. Where twice its length is too long, x and -x lie side by
            side along an axis of length 1, if there is one.
    """
    import numpy as np
    from coremltools.converters.mil.mil import Builder as mb

    beside = axis
    if 2 * x.shape[axis] > WIDEST:
        beside = next((n for n in (2, 3, 1) if x.shape[n] == 1), axis)
    both = mb.concat(values=[x, mb.mul(x=x, y=np.float16(-1))], axis=beside)
    axes = sorted({axis, beside})
    normed = mb.layer_norm(x=both, axes=axes, epsilon=np.float16(eps))
    first = mb.slice_by_index(x=normed, begin=[0] * 4, end=list(x.shape))
    return mb.mul(x=first, y=gain)
