"""The autoencoder of Stable Diffusion in MLX, with the weights' names of diffusers.

Latent diffusion, https://arxiv.org/abs/2112.10752. Pictures are (n, height, width, channels).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx import nn

from zoo_stable_diffusion.mlx.layers import Downsample, ResnetBlock, Upsample, attend, group_norm

EPS = 1e-6
FORMERLY = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""What the attention's weights are called in the first checkpoints."""


class Attention(nn.Module):
    """Each pixel attends to all, with one head."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.group_norm = group_norm(groups, width, EPS)
        self.to_q, self.to_k = nn.Linear(width, width), nn.Linear(width, width)
        self.to_v, self.to_out = nn.Linear(width, width), [nn.Linear(width, width)]

    def __call__(self, x: mx.array) -> mx.array:
        flat = self.group_norm(x).flatten(1, 2)
        mixed = attend(self.to_q(flat), self.to_k(flat), self.to_v(flat), 1)
        return x + self.to_out[0](mixed).reshape(x.shape)


class Middle(nn.Module):
    def __init__(self, width: int, groups: int, attends: bool) -> None:
        super().__init__()
        self.resnets = [ResnetBlock(width, width, groups, EPS) for _ in range(2)]
        if attends:
            self.attentions = [Attention(width, groups)]

    def __call__(self, x: mx.array) -> mx.array:
        x = self.resnets[0](x)
        return self.resnets[1](self.attentions[0](x) if "attentions" in self else x)


class Stage(nn.Module):
    def __init__(self, given: int, made: int, count: int, groups: int) -> None:
        super().__init__()
        givens = [given, *[made] * (count - 1)]
        self.resnets = [ResnetBlock(width, made, groups, EPS) for width in givens]

    def __call__(self, x: mx.array) -> mx.array:
        for resnet in self.resnets:
            x = resnet(x)
        for sampler in (*self.get("downsamplers", ()), *self.get("upsamplers", ())):
            x = sampler(x)
        return x


class Coder(nn.Module):
    """What encoder and decoder have around their stages."""

    def __init__(self, config: Mapping[str, Any], given: int, first: int, last: int) -> None:
        super().__init__()
        widths, groups = config["block_out_channels"], config.get("norm_num_groups", 32)
        self.conv_in = nn.Conv2d(given, first, 3, padding=1)
        self.mid_block = Middle(widths[-1], groups, config.get("mid_block_add_attention", True))
        self.conv_norm_out = group_norm(groups, last, EPS)

    def finish(self, x: mx.array) -> mx.array:
        return self.conv_out(nn.silu(self.conv_norm_out(x)))


class Encoder(Coder):
    def __init__(self, config: Mapping[str, Any]) -> None:
        widths, groups = config["block_out_channels"], config.get("norm_num_groups", 32)
        super().__init__(config, config.get("in_channels", 3), widths[0], widths[-1])
        self.down_blocks, given = [], widths[0]
        for number, width in enumerate(widths):
            block = Stage(given, width, config.get("layers_per_block", 1), groups)
            if number < len(widths) - 1:
                block.downsamplers = [Downsample(width, one_sided=True)]
            self.down_blocks.append(block)
            given = width
        self.conv_out = nn.Conv2d(widths[-1], 2 * config["latent_channels"], 3, padding=1)

    def __call__(self, x: mx.array) -> mx.array:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.finish(self.mid_block(x))


class Decoder(Coder):
    def __init__(self, config: Mapping[str, Any]) -> None:
        widths, groups = config["block_out_channels"], config.get("norm_num_groups", 32)
        super().__init__(config, config["latent_channels"], widths[-1], widths[0])
        self.up_blocks, given = [], widths[-1]
        for number, width in enumerate(reversed(widths)):
            block = Stage(given, width, config.get("layers_per_block", 1) + 1, groups)
            if number < len(widths) - 1:
                block.upsamplers = [Upsample(width)]
            self.up_blocks.append(block)
            given = width
        self.conv_out = nn.Conv2d(widths[0], config.get("out_channels", 3), 3, padding=1)

    def __call__(self, x: mx.array) -> mx.array:
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.finish(x)


class Autoencoder(nn.Module):
    """`AutoencoderKL` of diffusers."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        channels = config["latent_channels"]
        if config.get("use_quant_conv", True):
            self.quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1)
        if config.get("use_post_quant_conv", True):
            self.post_quant_conv = nn.Conv2d(channels, channels, 1)

    def encode(self, pictures: mx.array) -> tuple[mx.array, mx.array]:
        """The mean of latents and the logarithm of their variance.

        From pictures (n, h, w, 3) from -1 to 1 to (n, h / f, w / f, channels) each.
        """
        found = self.encoder(pictures)
        found = self.quant_conv(found) if "quant_conv" in self else found
        mean, spread = mx.split(found, 2, axis=-1)
        return mean, spread

    def decode(self, latents: mx.array) -> mx.array:
        """The pictures of unscaled latents, the way back of `encode`."""
        given = self.post_quant_conv(latents) if "post_quant_conv" in self else latents
        return self.decoder(given)


def renamed(name: str) -> str:
    """The name in `Autoencoder` of a weight in a checkpoint."""
    head, part, tail = name.rpartition(".mid_block.attentions.0.")
    if not part:
        return name
    layer, _, kind = tail.rpartition(".")
    return f"{head}{part}{FORMERLY.get(layer, layer)}.{kind}"
