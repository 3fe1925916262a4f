"""Whisper in MLX, with the weights' names of Hugging Face's checkpoints."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx import nn

from zoo_whisper.config import WhisperConfig

Memory = list[tuple[mx.array, mx.array]]
"""Keys and values of each layer: (1, heads, positions, head width)."""


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def memory(self, x: mx.array) -> tuple[mx.array, mx.array]:
        return self._split(self.k_proj(x)), self._split(self.v_proj(x))

    def _split(self, x: mx.array) -> mx.array:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(0, 2, 1, 3)

    def __call__(self, x: mx.array, memory: Any, mask: Any = None) -> mx.array:
        query = self._split(self.q_proj(x))
        scale = query.shape[-1] ** -0.5
        mixed = mx.fast.scaled_dot_product_attention(query, *memory, scale=scale, mask=mask)
        return self.out_proj(mixed.transpose(0, 2, 1, 3).reshape(x.shape))

    def attention(self, x: mx.array, keys: mx.array) -> mx.array:
        """The cross-attention of each position of x: (heads, positions, keys)."""
        query = self._split(self.q_proj(x))
        return mx.softmax(query @ keys.swapaxes(-1, -2) * query.shape[-1] ** -0.5, axis=-1)[0]


ACTIVATIONS = {
    "gelu": nn.gelu,
    "gelu_new": nn.gelu_approx,
    "gelu_pytorch_tanh": nn.gelu_approx,
    "quick_gelu": lambda x: x * mx.sigmoid(1.702 * x),
    "relu": nn.relu,
    "silu": nn.silu,
    "swish": nn.silu,
}


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, activation: str, crosses: bool) -> None:
        super().__init__()
        self._activation = ACTIVATIONS[activation]
        self.self_attn, self.self_attn_layer_norm = Attention(width, heads), nn.LayerNorm(width)
        if crosses:
            self.encoder_attn = Attention(width, heads)
            self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def feed(self, x: mx.array) -> mx.array:
        return x + self.fc2(self._activation(self.fc1(self.final_layer_norm(x))))


class Encoder(nn.Module):
    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.frames, config.width)
        self.layers = [
            Layer(
                config.width, config.encoder_heads, config.encoder_inner, config.activation, False
            )
            for _ in range(config.encoder_layers)
        ]
        self.layer_norm = nn.LayerNorm(config.width)

    def __call__(self, mel: mx.array) -> mx.array:
        """(1, mels, 2 frames) to (1, frames, width)."""
        x = nn.gelu(self.conv2(nn.gelu(self.conv1(mel.transpose(0, 2, 1)))))
        x = x + self.embed_positions(mx.arange(x.shape[1]))
        for layer in self.layers:
            normed = layer.self_attn_layer_norm(x)
            x = layer.feed(x + layer.self_attn(normed, layer.self_attn.memory(normed)))
        return self.layer_norm(x)


class Decoder(nn.Module):
    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.embed_positions = nn.Embedding(config.context, config.width)
        self.layers = [
            Layer(config.width, config.decoder_heads, config.decoder_inner, config.activation, True)
            for _ in range(config.decoder_layers)
        ]
        self.layer_norm = nn.LayerNorm(config.width)

    def cross_memory(self, hidden: mx.array) -> Memory:
        """The keys and values of the encoder's output, the same for every token."""
        return [layer.encoder_attn.memory(hidden) for layer in self.layers]

    def __call__(
        self,
        tokens: mx.array,
        encoded: Memory,
        written: Memory,
        attention: list[mx.array] | None = None,
        head: Any = None,
    ) -> tuple[mx.array, Memory]:
        """Logits (1, tokens, vocabulary), and the memory with these tokens; fills `attention`.

        Args:
            head: the output layer, where it is not the embedding.
        """
        start, count = (written[0][0].shape[2] if written else 0), tokens.shape[1]
        x = self.embed_tokens(tokens) + self.embed_positions(mx.arange(start, start + count))
        memory: Memory = []
        mask = "causal" if count > 1 else None
        for number, layer in enumerate(self.layers):
            normed = layer.self_attn_layer_norm(x)
            mine = layer.self_attn.memory(normed)
            if written:
                keys, values = zip(written[number], mine, strict=True)
                mine = mx.concatenate([*keys], axis=2), mx.concatenate([*values], axis=2)
            memory.append(mine)
            x = x + layer.self_attn(normed, mine, mask)
            normed = layer.encoder_attn_layer_norm(x)
            if attention is not None:
                attention.append(layer.encoder_attn.attention(normed, encoded[number][0]))
            x = layer.feed(x + layer.encoder_attn(normed, encoded[number]))
        output = head or self.embed_tokens.as_linear
        return output(self.layer_norm(x)), memory


class Whisper(nn.Module):
    """Encoder and decoder; `proj_out` where the output layer is not the embedding."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        if not config.tied:
            self.proj_out = nn.Linear(config.width, config.vocabulary, bias=False)
