"""Operations of neural networks: products of matrices, convolutions, norms and activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, prod
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as nn

from zoo.formats.coreml.execute.kernels.arguments import Flag, Int, Ints, Text, refuses
from zoo.formats.coreml.execute.kernels.bounds import require_room


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return nn.linear(x, weight, bias)


def matmul(x: Tensor, y: Tensor, transpose_x: Flag = False, transpose_y: Flag = False) -> Tensor:
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


def einsum(values: list[Tensor], equation: Text) -> Tensor:
    product = torch.einsum(equation, *values)
    return product.clone() if len(values) == 1 else product  # not a view of a state


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    return nn.scaled_dot_product_attention(query, key, value, attn_mask)


PadType = Literal["valid", "same", "same_lower", "custom"]


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints | None = None,
    pad_type: PadType = "valid",
    pad: Ints | None = None,
    dilations: Ints | None = None,
    groups: Int = 1,
) -> Tensor:
    """Convolution over one to three axes; `x` is (batch, channels, ...)."""
    axes = x.dim() - 2
    if pad_type == "valid" and groups == 1 and _is_product(x.shape, weight.shape, strides):
        y = torch.mm(weight.flatten(1), x.flatten(1).view(x.shape[1], -1))
        y = y if bias is None else y + bias[:, None]
        return y.view(1, weight.shape[0], *x.shape[2:])
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    reach = [d * (size - 1) + 1 for d, size in zip(dilations, weight.shape[2:], strict=True)]
    sides = _sides(x.shape[2:], reach, strides, pad_type, pad)
    more = max(sides or [0])
    require_room([x.shape[0], weight.shape[0], *(size + 2 * more for size in x.shape[2:])])
    run = (nn.conv1d, nn.conv2d, nn.conv3d)[axes - 1]
    even: int | list[int] = 0
    if sides is not None and sides[::2] == sides[1::2]:
        even = sides[::2]
    elif sides is not None:
        x = _padded(x, sides, 0.0)
    return run(x, weight, bias, strides, even, dilations, groups)


FEW = 256
"""Places up to which a convolution of one place is faster as a product of matrices."""


def _is_product(x: Sequence[int], weight: Sequence[int], strides: Ints | None) -> bool:
    """Whether a convolution is a product of matrices, at few places, by the shapes of both."""
    single = x[0] == 1 and x[1] == weight[1] and prod(x[2:]) <= FEW
    return single and prod(weight[2:]) == 1 and (strides is None or prod(strides) == 1)


def _sides(
    sizes: Sequence[int], kernel: Sequence[int], strides: Ints, pad_type: PadType, pad: Ints | None
) -> list[int] | None:
    """Numbers before and after each axis, the first axis first; `None` for no padding."""
    if pad_type == "valid":
        return None
    if pad_type == "custom":
        if pad is None or len(pad) != 2 * len(sizes) or min(pad) < 0:
            raise ValueError(f"pad is {pad}")
        return pad if any(pad) else None
    totals = [
        max(0, (-(-size // step) - 1) * step + length - size)
        for size, step, length in zip(sizes, strides, kernel, strict=True)
    ]
    first = [-(-total // 2) if pad_type == "same_lower" else total // 2 for total in totals]
    return [side for total, one in zip(totals, first, strict=True) for side in (one, total - one)]


def _padded(x: Tensor, sides: list[int], value: float) -> Tensor:
    pairs = [sides[start : start + 2] for start in range(0, len(sides), 2)]
    require_room(
        [*x.shape[:2], *(n + sum(pair) for n, pair in zip(x.shape[2:], pairs, strict=True))]
    )
    return nn.pad(x, [side for pair in reversed(pairs) for side in pair], value=value)


def layer_norm(
    x: Tensor,
    axes: Ints | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | float = 1e-5,
) -> Tensor:
    for factor in (gamma, beta):
        if factor is not None and not _within(factor.shape, x.shape):
            raise ValueError(f"its factors are {tuple(factor.shape)}, its input {tuple(x.shape)}")
    if axes is None or prod(x.shape[axis] for axis in axes) == x.numel():
        normed = nn.layer_norm(x, x.shape, eps=float(epsilon))
    else:
        mean = x.mean(axes, keepdim=True)
        apart = x - mean
        normed = apart * ((apart * apart).mean(axes, keepdim=True) + epsilon).rsqrt()
    normed = normed if gamma is None else normed * gamma
    return normed if beta is None else normed + beta


def _within(shape: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether an array of one shape, broadcast, does not make one of the other larger."""
    pairs = zip(reversed(shape), reversed(whole), strict=False)
    return len(shape) <= len(whole) and all(length in (1, most) for length, most in pairs)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | float = 1e-5,
) -> Tensor:
    return nn.batch_norm(x, mean, variance, gamma, beta, eps=float(epsilon))


def instance_norm(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | float = 1e-5,
) -> Tensor:
    """Each channel of each example by itself; `x` is (batch, channels, ...)."""
    return nn.instance_norm(x, weight=gamma, bias=beta, eps=float(epsilon))


def softmax(x: Tensor, axis: Int = -1) -> Tensor:
    return x.softmax(axis)


def sigmoid(x: Tensor) -> Tensor:
    return x.sigmoid()


def silu(x: Tensor) -> Tensor:
    return nn.silu(x)


def relu(x: Tensor) -> Tensor:
    return x.relu()


def gelu(
    x: Tensor, mode: Literal["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"] = "EXACT"
) -> Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x * (1.702 * x).sigmoid()
    return nn.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


def _pooling(fixed: Mapping[str, Any]) -> str | None:
    uneven = fixed.get("pad_type", "valid") not in ("valid", "custom")
    pad = fixed.get("pad") or []
    uneven = uneven or (fixed.get("pad_type") == "custom" and pad[::2] != pad[1::2])
    return "ceil_mode with padding that is not even" if fixed.get("ceil_mode") and uneven else None


@refuses(_pooling)
def max_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints | None = None,
    pad_type: PadType = "valid",
    pad: Ints | None = None,
    ceil_mode: Flag = False,
) -> Tensor:
    """The largest of each window; padding is never the largest."""
    axes = x.dim() - 2
    strides = strides or [1] * axes
    run = (nn.max_pool1d, nn.max_pool2d, nn.max_pool3d)[axes - 1]
    sides = _sides(x.shape[2:], kernel_sizes, strides, pad_type, pad)
    if ceil_mode:
        return run(x, kernel_sizes, strides, (sides or [0] * 2 * axes)[::2], ceil_mode=True)
    if sides is not None:
        x = _padded(x, sides, -inf)
    return run(x, kernel_sizes, strides)
