"""Whisper in PyTorch as the Neural Engine likes it: static shapes, one token at a time.

The stream is (1, width, 1, positions), linear layers are convolutions of one pixel, heads attend
one by one, and the decoder blends the keys and values of its token into the caches by a mask that
is 1 at its position. Embeddings are looked up outside. The layout and its reasons are Apple's:
https://machinelearning.apple.com/research/neural-engine-transformers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from zoo_whisper.config import WhisperConfig
from zoo_whisper.module import Attention, Decoder, Encoder, Layer
from zoo_whisper.static import WIDEST, state_length


def as_convolution(layer: nn.Linear) -> nn.Conv2d:
    """The convolution of one pixel that computes what a linear layer does."""
    rows, columns = layer.weight.shape
    made = nn.Conv2d(columns, rows, 1, bias=layer.bias is not None)
    made.weight = nn.Parameter(layer.weight.data[:, :, None, None])
    made.bias = layer.bias
    return made


def with_convolutions(module: nn.Module) -> None:
    """Have a module's linear layers be convolutions, by the same names."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, as_convolution(child))
        else:
            with_convolutions(child)


def normed(norm: nn.Module, x: Tensor) -> Tensor:
    """A layer norm of (1, width, 1, positions) over the width."""
    found: Tensor = norm(x.transpose(1, 3)).transpose(1, 3)
    return found


def heads_of(x: Tensor, count: int) -> Tensor:
    """(1, width, 1, positions) to (1, heads, head size, positions)."""
    return x.reshape(1, count, -1, x.shape[3])


def attend(
    attention: Attention, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """The output of an attention layer, and the attention weights of each head.

    Args:
        x: (1, width, 1, positions).
        keys, values: (1, heads, head size, keys).

    Returns:
        The output (1, width, 1, positions), and for each head its weights (1, 1, positions, keys).
    """
    queries = heads_of(attention.q_proj(x), attention.heads) * keys.shape[2] ** -0.5
    mixed, shown = [], []
    for query, key, value in zip(
        queries.split(1, 1), keys.split(1, 1), values.split(1, 1), strict=True
    ):
        scores = query.transpose(2, 3) @ key
        shown.append(torch.softmax(scores if mask is None else scores + mask, -1))
        mixed.append(value @ shown[-1].transpose(2, 3))
    joined = torch.cat(mixed, 1).reshape(1, -1, 1, x.shape[3])
    return attention.out_proj(joined), shown


def feed(layer: Layer, x: Tensor) -> Tensor:
    inner = layer.activation(layer.fc1(normed(layer.final_layer_norm, x)))
    found: Tensor = x + layer.fc2(inner)
    return found


class StaticMemory(nn.Module):
    """The spectrogram to the encoder's output and to what cross-attention remembers of it.

    These are `hidden` (1, frames, width), `keys` and `values` (layers, heads, head size, frames).
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        with_convolutions(encoder)
        self.encoder = encoder
        self.attention = nn.ModuleList(layer.encoder_attn for layer in decoder.layers)
        with_convolutions(self.attention)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        encoder = self.encoder
        positions = encoder.embed_positions.weight.T[None, :, None]
        x = gelu(encoder.conv2(gelu(encoder.conv1(mel)))).unsqueeze(2) + positions
        for layer in encoder.layers:
            given, attention = normed(layer.self_attn_layer_norm, x), layer.self_attn
            keys = heads_of(attention.k_proj(given), attention.heads)
            values = heads_of(attention.v_proj(given), attention.heads)
            x = feed(layer, x + attend(attention, given, keys, values)[0])
        x = normed(encoder.layer_norm, x)
        keys = torch.cat([heads_of(part.k_proj(x), part.heads) for part in self.attention])
        values = torch.cat([heads_of(part.v_proj(x), part.heads) for part in self.attention])
        return x.squeeze(2).transpose(1, 2), keys, values


class StaticDecoder(nn.Module):
    """One token to logits, in parts of at most 16,384; then where the alignment heads look."""

    def __init__(self, config: WhisperConfig, decoder: Decoder) -> None:
        super().__init__()
        with_convolutions(decoder.layers)
        self.head_places = config.heads
        self.layers, self.layer_norm = decoder.layers, decoder.layer_norm
        weight = decoder.output_weight().data
        self.outputs = nn.ModuleList(_output(part) for part in weight.split(WIDEST))
        self.heads = config.decoder_heads
        size = config.width // self.heads
        shape = 1, config.decoder_layers * self.heads, size, state_length(config)
        self.register_buffer("keyCache", torch.zeros(shape), persistent=False)
        self.register_buffer("valueCache", torch.zeros(shape), persistent=False)

    def forward(
        self, hidden: Tensor, mask: Tensor, update: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, ...]:
        """Logits (1, part of the vocabulary) for the token at the position that `update` says.

        Args:
            hidden: (1, 1, 1, width), the embeddings of the token and its position.
            mask: (1, 1, 1, length), added to the scores of attention.
            update: (1, 1, 1, length), 1 at the position of the token and 0 elsewhere.
            keys, values: of `StaticMemory`.
        """
        x = hidden.transpose(1, 3)
        caches = self.keyCache, self.valueCache
        old = [(cache * (1 - update)).split(self.heads, 1) for cache in caches]
        made: tuple[list[Tensor], list[Tensor]] = ([], [])
        aligned = []
        for number, layer in enumerate(self.layers):
            given, attention = normed(layer.self_attn_layer_norm, x), layer.self_attn
            for new, before, after in zip(
                (attention.k_proj(given), attention.v_proj(given)), old, made, strict=True
            ):
                after.append(before[number] + heads_of(new, self.heads) * update)
            x = x + attend(attention, given, made[0][-1], made[1][-1], mask)[0]
            given, attention = normed(layer.encoder_attn_layer_norm, x), layer.encoder_attn
            part = slice(number, number + 1)
            found, shown = attend(attention, given, keys[part], values[part])
            aligned += [shown[head] for place, head in self.head_places if place == number]
            x = feed(layer, x + found)
        self.keyCache[:] = torch.cat(made[0], 1)
        self.valueCache[:] = torch.cat(made[1], 1)
        x = normed(self.layer_norm, x)
        logits = [output(x).flatten(1) for output in self.outputs]
        return (*logits, torch.cat(aligned, 1)) if aligned else tuple(logits)


def _output(weight: Tensor) -> nn.Conv2d:
    rows, columns = weight.shape
    made = nn.Conv2d(columns, rows, 1, bias=False)
    made.weight = nn.Parameter(weight[:, :, None, None])
    return made
