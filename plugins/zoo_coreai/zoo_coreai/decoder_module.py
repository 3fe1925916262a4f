"""A decoder-only language model in PyTorch, as Core AI wants it: states, a mask, and no cache.

Keys and values of all layers are two states. A call is given some tokens, and a mask whose last
axis says how many there are with those before; the tokens' keys and values are written into the
states at their end, once for all layers.

Shapes: T tokens given, P tokens before them, H heads, E head dimension, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu
from zoo.formats.coreml import DecoderSpec, LayerSpec


class Norm(nn.Module):
    """RMSNorm, computed in float32 (https://arxiv.org/abs/1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        wide = rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps)
        return wide.to(x.dtype)


class Layer(nn.Module):
    """Attention and SwiGLU, each after a norm and added to what goes in."""

    def __init__(self, spec: DecoderSpec, layer: LayerSpec) -> None:
        super().__init__()
        self.head_dim = spec.head_dim
        queries, keys = layer.query_heads * spec.head_dim, layer.kv_heads * spec.head_dim
        self.attention_norm = Norm(spec.width, spec.eps)
        self.query = nn.Linear(spec.width, queries, bias=False)
        self.key = nn.Linear(spec.width, keys, bias=False)
        self.value = nn.Linear(spec.width, keys, bias=False)
        self.output = nn.Linear(queries, spec.width, bias=False)
        self.qk_norms = nn.ModuleList(Norm(spec.head_dim, spec.eps) for _ in spec.names.qk_norms)
        self.ffn_norm = Norm(spec.width, spec.eps)
        self.gate = nn.Linear(spec.width, layer.ffn_width, bias=False)
        self.up = nn.Linear(spec.width, layer.ffn_width, bias=False)
        self.down = nn.Linear(layer.ffn_width, spec.width, bias=False)
        self.kv_heads = layer.kv_heads

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor, past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(1, T, W) to (1, T, W), and the keys and values of the tokens given, (1, H, T, E).

        Args:
            angles: cosines and sines of (T, E) for the positions of the tokens.
            mask: (1, 1, T, P + T).
            past: keys and values of the tokens before, (1, H, P, E), of as many heads as the layer
                with the most has.
        """
        normed = self.attention_norm(x)
        query, key, value = (
            part(normed).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        if self.qk_norms:
            query, key = self.qk_norms[0](query), self.qk_norms[1](key)
        query, key = rotate(query, *angles), rotate(key, *angles)
        keys = torch.cat((past[0][:, : self.kv_heads], key), dim=2)
        values = torch.cat((past[1][:, : self.kv_heads], value), dim=2)
        mixed = scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True)
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        normed = self.ffn_norm(x)
        return x + self.down(silu(self.gate(normed)) * self.up(normed)), key, value


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + E/2) of `x`, (1, H, T, E), by its position's angle, in float32."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x.float() * cos + turned * sin).to(x.dtype)


class Decoder(nn.Module):
    """The language model that a spec describes; its states are the buffers of its caches."""

    def __init__(self, spec: DecoderSpec) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocabulary, spec.width)
        self.layers = nn.ModuleList(Layer(spec, layer) for layer in spec.layers)
        self.norm = Norm(spec.width, spec.eps)
        if spec.names.head:
            self.head = nn.Linear(spec.width, spec.vocabulary, bias=False)
        self.most = max(layer.kv_heads for layer in spec.layers)

    def initialize_buffers(self, spec: DecoderSpec, kind: torch.dtype) -> None:
        """Empty states in the type of the weights, and the rotary frequencies in float32."""
        exponents = torch.arange(0, spec.head_dim, 2, dtype=torch.float64) / spec.head_dim
        speeds = spec.rope_theta**-exponents / spec.rope_factor
        self.register_buffer("speeds", speeds.float().repeat(2), persistent=False)
        for name in ("keyCache", "valueCache"):
            empty = torch.zeros(spec.state_shape, dtype=kind)
            self.register_buffer(name, empty, persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor, places: Tensor) -> Tensor:
        """Logits after the tokens at some places: (1, places, vocabulary).

        Args:
            tokens: (1, T), int32.
            mask: (1, 1, T, P + T), 0 where a token sees another.
            places: (places,), int32, from 0 to T - 1.
        """
        end = mask.shape[-1]
        begin = end - tokens.shape[-1]
        x = self.embedding(tokens)
        positions = torch.arange(begin, end, device=x.device).float()
        turns = positions[:, None] * self.speeds
        angles = turns.cos(), turns.sin()
        keys, values = [], []
        for number, layer in enumerate(self.layers):
            past = self.keyCache[number, :, :, :begin], self.valueCache[number, :, :, :begin]
            x, key, value = layer(x, angles, mask, past)
            keys.append(self._padded(key))
            values.append(self._padded(value))
        self.keyCache[:, :, :, begin:end] = torch.stack(keys)
        self.valueCache[:, :, :, begin:end] = torch.stack(values)
        x = self.norm(x.index_select(1, places))
        return self.head(x) if hasattr(self, "head") else linear(x, self.embedding.weight)

    def _padded(self, part: Tensor) -> Tensor:
        """Keys or values with as many heads as the layer with the most has."""
        missing = self.most - part.shape[1]
        return nn.functional.pad(part, (0, 0, 0, 0, 0, missing)) if missing else part
