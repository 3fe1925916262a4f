"""Operations of neural networks: products of matrices, convolutions, norms and activations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as nn

from zoo.formats.coreml.execute.kernels.arguments import Flag, Int, Ints, Text


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return nn.linear(x, weight, bias)


def matmul(x: Tensor, y: Tensor, transpose_x: Flag = False, transpose_y: Flag = False) -> Tensor:
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


def einsum(values: list[Tensor], equation: Text) -> Tensor:
    return torch.einsum(equation, *values)


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    return nn.scaled_dot_product_attention(query, key, value, attn_mask)


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints = None,
    pad_type: Text = "valid",
    pad: Ints = None,
    dilations: Ints = None,
    groups: Int = 1,
) -> Tensor:
    """Convolution over one to three axes; `x` is (batch, channels, ...)."""
    axes = x.dim() - 2
    strides, dilations = strides or [1] * axes, dilations or [1] * axes
    if pad_type == "same":
        reach = [d * (size - 1) for d, size in zip(dilations, weight.shape[2:], strict=True)]
        total = [
            max(0, (-(-size // step) - 1) * step + over + 1 - size)
            for size, step, over in zip(x.shape[2:], strides, reach, strict=True)
        ]
        pad = [side for both in total for side in (both // 2, both - both // 2)]
    elif pad_type == "valid":
        pad = None
    elif pad_type != "custom":
        raise ValueError(f"conv with pad_type '{pad_type}'")
    if pad and any(pad):
        pairs = [pad[start : start + 2] for start in range(0, len(pad), 2)]
        x = nn.pad(x, [side for pair in reversed(pairs) for side in pair])
    run = (nn.conv1d, nn.conv2d, nn.conv3d)[axes - 1]
    return run(x, weight, bias, strides, 0, dilations, groups)


def layer_norm(
    x: Tensor,
    axes: Ints = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | float = 1e-5,
) -> Tensor:
    mean = x.mean(axes, keepdim=True)
    apart = x - mean
    normed = apart * ((apart * apart).mean(axes, keepdim=True) + epsilon).rsqrt()
    normed = normed if gamma is None else normed * gamma
    return normed if beta is None else normed + beta


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: Tensor | float = 1e-5,
) -> Tensor:
    return nn.batch_norm(x, mean, variance, gamma, beta, eps=float(epsilon))


def softmax(x: Tensor, axis: Int = -1) -> Tensor:
    return x.softmax(axis)


def sigmoid(x: Tensor) -> Tensor:
    return x.sigmoid()


def silu(x: Tensor) -> Tensor:
    return nn.silu(x)


def relu(x: Tensor) -> Tensor:
    return x.relu()


def gelu(x: Tensor, mode: Text = "EXACT") -> Tensor:
    if mode == "SIGMOID_APPROXIMATION":
        return x * (1.702 * x).sigmoid()
    return nn.gelu(x, approximate="none" if mode == "EXACT" else "tanh")


def max_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints = None,
    pad_type: Text = "valid",
    pad: Ints = None,
    ceil_mode: Flag = False,
) -> Tensor:
    if pad_type != "valid" or ceil_mode:
        raise ValueError(f"max_pool with pad_type '{pad_type}' or ceil_mode")
    run = (nn.max_pool1d, nn.max_pool2d, nn.max_pool3d)[x.dim() - 3]
    return run(x, kernel_sizes, strides)
