"""What the executor computes in one step where a program has several; no operations of MIL.

Each makes the calls of PyTorch that the operations would make, in the same order, and so rounds
as they do.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from zoo.formats.coreml.execute.kernels.arguments import Int, Ints
from zoo.formats.coreml.execute.kernels.bounds import CAREFREE, require_room
from zoo.formats.coreml.execute.kernels.shape import expand_dims, reshape, tile


def rms_norm(x: Tensor, gamma: Tensor, epsilon: Tensor | float = 1e-12) -> Tensor:
    """The norm over the last axis, in float32; it is rounded before it meets the weights."""
    wide = x.float()
    root = ((wide * wide).mean(-1, True) + epsilon).rsqrt()
    return (wide * root).type_as(x) * gamma


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs of numbers, each in both halves of the last axis, turned by angles."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def grouped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    times: Int = 1,
    shape: Ints | None = None,
) -> Tensor:
    """Attention with keys and values of which each head serves `times` heads of queries in turn.

    Args:
        query: (batch, heads, positions, channels).
        key: (batch, heads / times, other positions, channels).
        value: as the keys.
        attn_mask: what is added to the scores.
        times: how many heads of queries share one of keys.
        shape: that which the program gives keys and values once they are repeated.
    """
    batch, heads, length, width = key.shape
    whole = [batch, heads * times, length, width]
    alike = key.shape == value.shape and query.shape[:2] == (batch, heads * times)
    if alike and shape in (whole, [batch, heads * times, -1, width]):
        if key.numel() * times > CAREFREE:
            require_room(whole)
        return scaled_dot_product_attention(query, key, value, attn_mask, enable_gqa=True)
    repeats = [1, 1, times, 1, 1]
    key, value = (
        reshape(tile(expand_dims(heads_of, [2]), repeats), shape or whole)
        for heads_of in (key, value)
    )
    return scaled_dot_product_attention(query, key, value, attn_mask)
