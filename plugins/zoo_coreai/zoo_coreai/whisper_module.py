"""Whisper's decoder in PyTorch as Core AI wants it: its states are written once in a call."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

import zoo_whisper.module


class Decoder(zoo_whisper.module.Decoder):
    """As its base class, which writes each layer's keys and values into the states by itself.

    In a program without side effects each of these writes copies the states whole.
    """

    def forward(
        self, tokens: Tensor, mask: Tensor, audio_keys: Tensor, audio_values: Tensor
    ) -> tuple[Tensor, ...]:
        """Logits (1, tokens, vocabulary), and the attention of the alignment heads.

        Args:
            tokens: (1, tokens).
            mask: (1, 1, tokens, tokens so far).
            audio_keys, audio_values: (layers, heads, frames, head width), of the encoder.
        """
        end = mask.shape[-1]
        begin = end - tokens.shape[-1]
        x = self.embed_tokens(tokens) + self.embed_positions.weight[begin:end]
        new_keys, new_values, attention = [], [], []
        for number, layer in enumerate(self.layers):
            one = slice(number, number + 1)
            own, normed = layer.self_attn, layer.self_attn_layer_norm(x)
            new_keys.append(own.split(own.k_proj(normed)))
            new_values.append(own.split(own.v_proj(normed)))
            keys = torch.cat((self.keyCache[one, :, :begin], new_keys[-1]), 2)
            values = torch.cat((self.valueCache[one, :, :begin], new_values[-1]), 2)
            x = x + own.mix(normed, keys, values, mask)
            cross, normed = layer.encoder_attn, layer.encoder_attn_layer_norm(x)
            keys, values = audio_keys[one], audio_values[one]
            heads = [head for place, head in self.head_places if place == number]
            if heads:
                query = cross.split(cross.q_proj(normed)) * keys.shape[-1] ** -0.5
                shares = torch.softmax(query @ keys.transpose(-1, -2), -1)
                attention += [shares[:, head : head + 1] for head in heads]
            x = layer.feed(x + cross.mix(normed, keys, values, None))
        self.keyCache[:, :, begin:end] = torch.cat(new_keys)
        self.valueCache[:, :, begin:end] = torch.cat(new_values)
        logits = linear(self.layer_norm(x), self.output_weight())
        return (logits, torch.cat(attention, 1)) if attention else (logits,)
