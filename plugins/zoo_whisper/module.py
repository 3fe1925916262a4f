"""Whisper in PyTorch as programs: three modules that are traced or exported.

The decoder keeps its own keys and values in buffers that become states, and is given those of the
encoder's output, which are computed once for a window. Weights have the names of Hugging Face's
checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn.functional import (
    conv1d,
    gelu,
    pad,
    relu,
    scaled_dot_product_attention,
    silu,
)

from zoo_whisper.config import FFT, HOP, WhisperConfig


class Spectrogram(nn.Module):
    """Samples (1, window) to the log-mel spectrogram (1, mels, 2 frames).

    The Fourier transform is a convolution with its windowed basis.

    Args:
        filters: (FFT // 2 + 1, mels), as transformers' feature extractor has them.
    """

    def __init__(self, filters: torch.Tensor) -> None:
        super().__init__()
        places = torch.arange(FFT, dtype=torch.float64)
        bins = torch.arange(FFT // 2 + 1, dtype=torch.float64)
        angles = 2 * math.pi * bins[:, None] * places / FFT
        window = torch.hann_window(FFT, dtype=torch.float64)
        basis = torch.cat([angles.cos() * window, -angles.sin() * window])
        self.register_buffer("basis", basis.float()[:, None])
        self.register_buffer("filters", filters.T.contiguous().float()[..., None])

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        padded = pad(samples[:, None], (FFT // 2, FFT // 2), mode="reflect")
        parts = conv1d(padded, self.basis, stride=HOP)[:, :, :-1]
        real, imaginary = parts[:, : FFT // 2 + 1], parts[:, FFT // 2 + 1 :]
        mel = conv1d(real * real + imaginary * imaginary, self.filters)
        logs = torch.log(mel.clamp(min=1e-10)) / math.log(10)
        return (torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8) + 4) / 4


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(1, -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2)

    def mix(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        mixed = scaled_dot_product_attention(self.split(self.q_proj(x)), keys, values, mask)
        return self.out_proj(mixed.transpose(1, 2).reshape(1, -1, self.out_proj.in_features))


def _quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": gelu,
    "gelu_new": partial(gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(gelu, approximate="tanh"),
    "quick_gelu": _quick_gelu,
    "relu": relu,
    "silu": silu,
    "swish": silu,
}


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, activation: str, crosses: bool) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.self_attn, self.self_attn_layer_norm = Attention(width, heads), nn.LayerNorm(width)
        if crosses:
            self.encoder_attn = Attention(width, heads)
            self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def feed(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc2(self.activation(self.fc1(self.final_layer_norm(x))))


class Encoder(nn.Module):
    """The spectrogram to the encoder's output: (1, frames, width)."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.frames, config.width)
        self.layers = nn.ModuleList(
            Layer(
                config.width, config.encoder_heads, config.encoder_inner, config.activation, False
            )
            for _ in range(config.encoder_layers)
        )
        self.layer_norm = nn.LayerNorm(config.width)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = gelu(self.conv2(gelu(self.conv1(mel)))).transpose(1, 2) + self.embed_positions.weight
        for layer in self.layers:
            normed, attention = layer.self_attn_layer_norm(x), layer.self_attn
            keys = attention.split(attention.k_proj(normed))
            values = attention.split(attention.v_proj(normed))
            x = layer.feed(x + attention.mix(normed, keys, values, None))
        return self.layer_norm(x)


class Decoder(nn.Module):
    """Tokens to logits; `head_places` are the alignment heads, by layer and head."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__()
        self.head_places = config.heads
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.embed_positions = nn.Embedding(config.context, config.width)
        self.layers = nn.ModuleList(
            Layer(config.width, config.decoder_heads, config.decoder_inner, config.activation, True)
            for _ in range(config.decoder_layers)
        )
        self.layer_norm = nn.LayerNorm(config.width)
        if not config.tied:
            self.proj_out = nn.Linear(config.width, config.vocabulary, bias=False)
        heads = config.decoder_heads
        shape = config.decoder_layers, heads, config.context, config.width // heads
        self.register_buffer("keyCache", torch.zeros(shape), persistent=False)
        self.register_buffer("valueCache", torch.zeros(shape), persistent=False)

    def output_weight(self) -> torch.Tensor:
        """The matrix of the output layer: the embedding, or its own."""
        layer = self.proj_out if hasattr(self, "proj_out") else self.embed_tokens
        return layer.weight

    def extended(
        self, number: int, keys: torch.Tensor, values: torch.Tensor, begin: int, end: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values of a layer so far, given those of the tokens from `begin` to `end`.

        They are written into the states.
        """
        self.keyCache[number : number + 1, :, begin:end] = keys
        self.valueCache[number : number + 1, :, begin:end] = values
        return (
            self.keyCache[number : number + 1, :, :end],
            self.valueCache[number : number + 1, :, :end],
        )

    def finish(
        self, keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor], begin: int, end: int
    ) -> None:
        """Take what every layer gave to `extended`, once all have: here nothing is left to do."""

    def forward(
        self,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        cross_keys: torch.Tensor,
        cross_values: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Logits (1, tokens, vocabulary), and where the alignment heads look.

        Args:
            tokens: (1, tokens).
            mask: (1, 1, tokens, tokens so far).
            cross_keys, cross_values: (layers, heads, frames, head width), of `Memory`.
        """
        end = mask.shape[-1]
        begin = end - tokens.shape[-1]
        x = self.embed_tokens(tokens) + self.embed_positions.weight[begin:end]
        aligned, all_keys, all_values = [], [], []
        for number, layer in enumerate(self.layers):
            normed, attention = layer.self_attn_layer_norm(x), layer.self_attn
            keys = attention.split(attention.k_proj(normed))
            values = attention.split(attention.v_proj(normed))
            all_keys.append(keys)
            all_values.append(values)
            keys, values = self.extended(number, keys, values, begin, end)
            x = x + attention.mix(normed, keys, values, mask)
            normed, attention = layer.encoder_attn_layer_norm(x), layer.encoder_attn
            keys, values = cross_keys[number : number + 1], cross_values[number : number + 1]
            places = [head for layer_number, head in self.head_places if layer_number == number]
            if places:
                query = attention.split(attention.q_proj(normed)) * keys.shape[-1] ** -0.5
                shown = torch.softmax(query @ keys.transpose(-1, -2), -1)
                aligned += [shown[:, head : head + 1] for head in places]
            x = layer.feed(x + attention.mix(normed, keys, values, None))
        self.finish(all_keys, all_values, begin, end)
        logits = nn.functional.linear(self.layer_norm(x), self.output_weight())
        return (logits, torch.cat(aligned, 1)) if aligned else (logits,)


class Memory(nn.Module):
    """The encoder, and the cross-attention keys and values of each decoder layer."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.attention = nn.ModuleList(layer.encoder_attn for layer in decoder.layers)

    def forward(self, mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hidden = self.encoder(mel)
        keys = torch.cat([part.split(part.k_proj(hidden)) for part in self.attention])
        values = torch.cat([part.split(part.v_proj(hidden)) for part in self.attention])
        return hidden, keys, values
