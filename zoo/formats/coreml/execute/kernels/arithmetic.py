"""Operations on numbers one by one, reductions and comparisons."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.formats.coreml.execute.kernels.arguments import Flag, Int, Ints, Text


def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


def sub(x: Tensor, y: Tensor) -> Tensor:
    return x - y


def mul(x: Tensor, y: Tensor) -> Tensor:
    return x * y


def real_div(x: Tensor, y: Tensor) -> Tensor:
    return x / y if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def floor_div(x: Tensor, y: Tensor) -> Tensor:
    return torch.div(x, y, rounding_mode="floor")


def mod(x: Tensor, y: Tensor) -> Tensor:
    return torch.remainder(x, y)


def pow_(x: Tensor, y: Tensor) -> Tensor:
    return torch.pow(x, y)


def maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x, y)


def minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(x, y)


def abs_(x: Tensor) -> Tensor:
    return x.abs()


def exp(x: Tensor) -> Tensor:
    return x.exp()


def log(x: Tensor, epsilon: Tensor | float = 1e-45) -> Tensor:
    return (x + epsilon).log()


def sqrt(x: Tensor) -> Tensor:
    return x.sqrt()


def rsqrt(x: Tensor, epsilon: Tensor | float = 1e-12) -> Tensor:
    return (x + epsilon).rsqrt()


def inverse(x: Tensor, epsilon: Tensor | float = 1e-4) -> Tensor:
    return 1 / (x + epsilon)


def square(x: Tensor) -> Tensor:
    return x * x


def sin(x: Tensor) -> Tensor:
    return x.sin()


def cos(x: Tensor) -> Tensor:
    return x.cos()


def tanh(x: Tensor) -> Tensor:
    return x.tanh()


def erf(x: Tensor) -> Tensor:
    return x.erf()


def floor(x: Tensor) -> Tensor:
    return x.floor()


def ceil(x: Tensor) -> Tensor:
    return x.ceil()


def round_(x: Tensor) -> Tensor:
    return x.round()


def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return x.clamp(alpha, beta)


def equal(x: Tensor, y: Tensor) -> Tensor:
    return x == y


def not_equal(x: Tensor, y: Tensor) -> Tensor:
    return x != y


def greater(x: Tensor, y: Tensor) -> Tensor:
    return x > y


def greater_equal(x: Tensor, y: Tensor) -> Tensor:
    return x >= y


def less(x: Tensor, y: Tensor) -> Tensor:
    return x < y


def less_equal(x: Tensor, y: Tensor) -> Tensor:
    return x <= y


def logical_and(x: Tensor, y: Tensor) -> Tensor:
    return x & y


def logical_or(x: Tensor, y: Tensor) -> Tensor:
    return x | y


def logical_not(x: Tensor) -> Tensor:
    return ~x


def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(cond, a, b)


def reduce_mean(x: Tensor, axes: Ints | None = None, keep_dims: Flag = False) -> Tensor:
    return x.mean(axes, keepdim=keep_dims)


def reduce_sum(x: Tensor, axes: Ints | None = None, keep_dims: Flag = False) -> Tensor:
    return x.sum(axes, keepdim=keep_dims)


def reduce_max(x: Tensor, axes: Ints | None = None, keep_dims: Flag = False) -> Tensor:
    return x.amax(axes or (), keepdim=keep_dims)


def reduce_min(x: Tensor, axes: Ints | None = None, keep_dims: Flag = False) -> Tensor:
    return x.amin(axes or (), keepdim=keep_dims)


def reduce_argmax(
    x: Tensor, axis: Int = -1, keep_dims: Flag = False, output_dtype: Text = "int32"
) -> Tensor:
    """The caller turns the result into `output_dtype`, as it does with every result."""
    return x.argmax(axis, keepdim=keep_dims)


def cumsum(x: Tensor, axis: Int = 0, exclusive: Flag = False, reverse: Flag = False) -> Tensor:
    turned = x.flip(axis) if reverse else x
    summed = turned.cumsum(axis)
    if exclusive:
        summed = summed - turned
    return summed.flip(axis) if reverse else summed
