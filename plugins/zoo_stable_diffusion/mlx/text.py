"""CLIP's text encoders in MLX, with the weights' names of Hugging Face's checkpoints.

CLIP, https://arxiv.org/abs/2103.00020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx import nn

END, LEGACY_END = 49407, 2
"""The end token where a config is silent, and that in the configs of the first checkpoints, which
tells nothing: there, the end is the token of the highest id."""


def quick_gelu(x: mx.array) -> mx.array:
    return x * mx.sigmoid(1.702 * x)


ACTIVATIONS = {
    "quick_gelu": quick_gelu,
    "gelu": nn.gelu,
    "gelu_new": nn.gelu_approx,
    "gelu_pytorch_tanh": nn.gelu_approx,
    "relu": nn.relu,
    "silu": nn.silu,
    "swish": nn.silu,
}


class Embeddings(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.token_embedding = nn.Embedding(config["vocab_size"], width)
        self.position_embedding = nn.Embedding(config["max_position_embeddings"], width)

    def __call__(self, ids: mx.array) -> mx.array:
        return self.token_embedding(ids) + self.position_embedding(mx.arange(ids.shape[1]))


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def _split(self, x: mx.array) -> mx.array:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(0, 2, 1, 3)

    def __call__(self, x: mx.array) -> mx.array:
        query, key, value = (
            self._split(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        scale = query.shape[-1] ** -0.5
        mixed = mx.fast.scaled_dot_product_attention(query, key, value, scale=scale, mask="causal")
        return self.out_proj(mixed.transpose(0, 2, 1, 3).reshape(x.shape))


class FeedForward(nn.Module):
    def __init__(self, width: int, inner: int, activation: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def __call__(self, x: mx.array) -> mx.array:
        return self.fc2(self.activation(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config.get("layer_norm_eps", 1e-5)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.self_attn = SelfAttention(width, config["num_attention_heads"])
        activation = config.get("hidden_act", "quick_gelu")
        self.mlp = FeedForward(width, config["intermediate_size"], activation)

    def __call__(self, x: mx.array) -> mx.array:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Layers(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.layers = [Layer(config) for _ in range(config["num_hidden_layers"])]


class TextEncoder(nn.Module):
    """A text encoder of CLIP.

    Args:
        config: that of the checkpoint.
        projects: whether it has a projection of the prompt as a whole, as SDXL's second one.
    """

    def __init__(self, config: Mapping[str, Any], projects: bool) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.end = config.get("eos_token_id", END)
        self.embeddings, self.encoder = Embeddings(config), Layers(config)
        self.final_layer_norm = nn.LayerNorm(width, config.get("layer_norm_eps", 1e-5))
        if projects:
            self.text_projection = nn.Linear(width, config["projection_dim"], bias=False)

    def __call__(self, ids: mx.array) -> tuple[mx.array, mx.array, mx.array | None]:
        """What becomes of ids of shape (n, tokens).

        Returns:
            The last hidden state, normed; that before the last layer; both (n, tokens, width).
            Then the projection at the end of the prompt, (n, projection width), or `None`.
        """
        x = before = self.embeddings(ids)
        for layer in self.encoder.layers:
            x, before = layer(x), x
        last, pooled = self.final_layer_norm(x), None
        if "text_projection" in self:
            ends = ids if self.end == LEGACY_END else ids == self.end
            where = mx.argmax(ends, axis=1)
            pooled = self.text_projection(last[mx.arange(len(ids)), where])
        return last, before, pooled


def renamed(name: str) -> str | None:
    """The name in `TextEncoder` of a weight in a checkpoint; `None` if it is none."""
    name = name.removeprefix("text_model.")
    return None if name == "embeddings.position_ids" else name
