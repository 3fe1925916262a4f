"""Attention as the Neural Engine likes it: channels on axis 1, one product for each head.

The layout (batch, channels, 1, positions) and its reasons are Apple's:
https://machinelearning.apple.com/research/neural-engine-transformers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def split_attention(unet: Any) -> None:
    """Have a U-Net of diffusers attend so; the linear layers become convolutions of one pixel."""
    from diffusers.models.attention_processor import Attention

    for module in unet.modules():
        if isinstance(module, Attention):
            for name in ("to_q", "to_k", "to_v"):
                setattr(module, name, as_convolution(getattr(module, name)))
            module.to_out[0] = as_convolution(module.to_out[0])
    unet.set_attn_processor(SplitEinsum())


def as_convolution(linear: nn.Linear | nn.Conv2d) -> nn.Conv2d:
    """The convolution that computes what a linear layer does, by the same name in the module."""
    if isinstance(linear, nn.Conv2d):
        return linear
    rows, columns = linear.weight.shape
    made = nn.Conv2d(columns, rows, 1, bias=linear.bias is not None)
    made.weight = nn.Parameter(linear.weight.data[:, :, None, None])
    made.bias = linear.bias
    return made


class SplitEinsum:
    """What diffusers calls an attention processor, for modules of `split_attention`."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """(B, positions, width) to the same."""
        given = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        x, seen = (t.transpose(1, 2).unsqueeze(2) for t in (hidden_states, given))
        queries, keys, values = attn.to_q(x), attn.to_k(seen), attn.to_v(seen)
        size = queries.shape[1] // attn.heads
        mixed = []
        for query, key, value in zip(
            queries.split(size, 1),
            keys.transpose(1, 3).split(size, 3),
            values.split(size, 1),
            strict=True,
        ):
            scores = key.transpose(1, 2) @ query.transpose(1, 2) * attn.scale
            mixed.append((value.transpose(1, 2) @ scores.softmax(2)).transpose(1, 2))
        found: Tensor = attn.to_out[0](torch.cat(mixed, 1))
        return found.squeeze(2).transpose(1, 2)
