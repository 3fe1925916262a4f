"""What the executor computes for all heads of attention at once; no operations of MIL."""

from __future__ import annotations

from torch import Tensor

from zoo.formats.coreml.execute.kernels.arguments import Flag, Int


def some(x: Tensor, begin: Int, end: Int) -> Tensor:
    """Heads from one number to another, of (batch, heads, ...)."""
    if begin == 0 and end == x.shape[1]:
        return x
    return x[:, begin:end]


def folded_matmul(
    x: Tensor, y: Tensor, transpose_x: Flag = False, transpose_y: Flag = False
) -> Tensor:
    """The products of heads, of which as many in turn as it takes share one of `y`."""
    x, y = (x.mT if transpose_x else x), (y.mT if transpose_y else y)
    batch, heads, rows, inner = x.shape
    folded = x.reshape(batch, y.shape[1], -1, inner)
    return (folded @ y).reshape(batch, heads, rows, y.shape[-1])
