"""OpenELM in PyTorch, under the names of weights that the Hub's checkpoints use.

Architecture: https://arxiv.org/abs/2404.14619, section 2, with the details of apple/corenet
(`corenet/modeling/models/language_modeling/general_gpt.py`). Only `zoo_openelm.torch` and training
import this module, since it imports PyTorch at once.

Shapes: B batch, L positions given, P positions before them, D `model_dim`, H heads, E `head_dim`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from zoo_openelm.config import OpenELMConfig

Cache = list[tuple[Tensor, Tensor]]
"""For each layer the keys and the values of all positions so far, each (B, H, P, E)."""


def rotary(config: OpenELMConfig, start: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines for the positions of `like`, (B, L, ...), from `start` on: (L, E) each."""
    exponents = torch.arange(0, config.head_dim, 2, device=like.device) / config.head_dim
    positions = torch.arange(start, start + like.shape[1], device=like.device)
    angles = torch.outer(positions.float(), config.rope_base**-exponents).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + E/2) of `x`, (B, H, L, E), by its position's angle, in float32."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x.float() * cos + turned * sin).to(x.dtype)


class Attention(nn.Module):
    """Causal attention; several heads of the queries share one of the keys and values."""

    def __init__(self, config: OpenELMConfig, layer: int) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.queries, self.keys = config.query_heads[layer], config.kv_heads[layer]
        width = (self.queries + 2 * self.keys) * config.head_dim
        self.qkv_proj = nn.Linear(config.model_dim, width, bias=False)
        self.out_proj = nn.Linear(self.queries * config.head_dim, config.model_dim, bias=False)
        self.q_norm, self.k_norm = (
            nn.RMSNorm(config.head_dim, config.rms_norm_eps) if config.qk_norm else nn.Identity()
            for _ in range(2)
        )

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor | None,
        past: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, L, D) to (B, L, D), and the keys and values of all P + L positions."""
        heads = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        q, k, v = heads.split((self.queries, self.keys, self.keys), dim=1)
        q, k = rotate(self.q_norm(q), *angles), rotate(self.k_norm(k), *angles)
        if past is not None:
            k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
        sharing = self.queries // self.keys
        mixed = scaled_dot_product_attention(
            q, k.repeat_interleave(sharing, 1), v.repeat_interleave(sharing, 1), attn_mask=mask
        )
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), (k, v)


class FeedForward(nn.Module):
    """A gated linear unit, SwiGLU: the gate is the first half of `proj_1`."""

    def __init__(self, config: OpenELMConfig, layer: int) -> None:
        super().__init__()
        width = config.ffn_widths[layer]
        self.proj_1 = nn.Linear(config.model_dim, 2 * width, bias=False)
        self.proj_2 = nn.Linear(width, config.model_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.proj_1(x).chunk(2, dim=-1)
        return self.proj_2(silu(gate) * value)


class Layer(nn.Module):
    def __init__(self, config: OpenELMConfig, layer: int) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(config.model_dim, config.rms_norm_eps)
        self.attn = Attention(config, layer)
        self.ffn_norm = nn.RMSNorm(config.model_dim, config.rms_norm_eps)
        self.ffn = FeedForward(config, layer)

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor | None,
        past: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        mixed, present = self.attn(self.attn_norm(x), angles, mask, past)
        x = x + mixed
        return x + self.ffn(self.ffn_norm(x)), present


class Transformer(nn.Module):
    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embeddings = nn.Embedding(config.vocab_size, config.model_dim)
        self.layers = nn.ModuleList(Layer(config, number) for number in range(config.layers))
        self.norm = nn.RMSNorm(config.model_dim, config.rms_norm_eps)

    def forward(self, ids: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Token ids, (B, L), to hidden states, (B, L, D), and the cache with them."""
        x = self.token_embeddings(ids)
        before, length = (cache[0][0].shape[2] if cache else 0), ids.shape[1]
        angles = rotary(self.config, before, x)
        seen = torch.ones(length, before + length, dtype=torch.bool, device=ids.device)
        mask = seen.tril(before) if length > 1 else None
        presents: Cache = []
        for number, layer in enumerate(self.layers):
            x, present = layer(x, angles, mask, cache[number] if cache else None)
            presents.append(present)
        return self.norm(x), presents


class OpenELM(nn.Module):
    """The language model. Its `state_dict` has the names and shapes of `config.shapes`."""

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__()
        self.transformer = Transformer(config)
        if not config.tied:
            self.lm_head = nn.Linear(config.model_dim, config.vocab_size, bias=False)
        self.tied = config.tied

    def forward(
        self, ids: Tensor, cache: Cache | None = None, keep: int = 0
    ) -> tuple[Tensor, Cache]:
        """Logits of the last `keep` positions (0: all), and the cache with the ids given.

        Args:
            ids: token ids, (B, L), that follow what is in the cache.
            cache: what an earlier call returned; it stays as it is.
            keep: how many positions to answer for.

        Returns:
            logits, (B, keep or L, vocabulary), and the cache for the next call.
        """
        hidden, cache = self.transformer(ids, cache)
        hidden = hidden[:, -keep:]
        if self.tied:
            return linear(hidden, self.transformer.token_embeddings.weight), cache
        return self.lm_head(hidden), cache
