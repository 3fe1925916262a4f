"""The U-Net of Stable Diffusion in MLX, with the weights' names of diffusers.

Latent diffusion, https://arxiv.org/abs/2112.10752; SDXL, https://arxiv.org/abs/2307.01952.
Pictures are (n, height, width, channels). The projections before and after attention are linear
layers also where diffusers has convolutions of one pixel: the product is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx import nn

from zoo_stable_diffusion.mlx.layers import Downsample, ResnetBlock, Upsample, attend, group_norm

CROSSED = "UNetMidBlock2DCrossAttn"
SPEEDS = 10000
"""Of the fastest sinusoid of a number to the slowest."""


class Attention(nn.Module):
    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = (
            nn.Linear(context, width, bias=False),
            nn.Linear(context, width, bias=False),
        )
        self.to_out = [nn.Linear(width, width)]

    def __call__(self, x: mx.array, context: mx.array) -> mx.array:
        return self.to_out[0](
            attend(self.to_q(x), self.to_k(context), self.to_v(context), self.heads)
        )


class Gated(nn.Module):
    """GEGLU, https://arxiv.org/abs/2002.05202."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def __call__(self, x: mx.array) -> mx.array:
        found, gate = mx.split(self.proj(x), 2, axis=-1)
        return found * nn.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = [Gated(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)]

    def __call__(self, x: mx.array) -> mx.array:
        return self.net[2](self.net[0](x))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(width), Attention(width, width, heads)
        self.norm2, self.attn2 = nn.LayerNorm(width), Attention(width, context, heads)
        self.norm3, self.ff = nn.LayerNorm(width), FeedForward(width)

    def __call__(self, x: mx.array, context: mx.array) -> mx.array:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, width: int, context: int, heads: int, depth: int, groups: int) -> None:
        super().__init__()
        self.norm = group_norm(groups, width, 1e-6)
        self.proj_in, self.proj_out = nn.Linear(width, width), nn.Linear(width, width)
        self.transformer_blocks = [TransformerBlock(width, context, heads) for _ in range(depth)]

    def __call__(self, x: mx.array, context: mx.array) -> mx.array:
        found = self.proj_in(self.norm(x).flatten(1, 2))
        for block in self.transformer_blocks:
            found = block(found, context)
        return x + self.proj_out(found).reshape(x.shape)


class Embedding(nn.Module):
    """Of a time or of the size of a picture."""

    def __init__(self, given: int, width: int, guidance: int | None = None) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(given, width), nn.Linear(width, width)
        if guidance:
            self.cond_proj = nn.Linear(guidance, given, bias=False)

    def __call__(self, x: mx.array, guidance: mx.array | None = None) -> mx.array:
        if guidance is not None:
            x = x + self.cond_proj(guidance)
        return self.linear_2(nn.silu(self.linear_1(x)))


class Stage(nn.Module):
    """The blocks of one size, on the way down, in the middle or on the way up."""

    def __init__(self, resnets: list[ResnetBlock], attentions: list[Transformer]) -> None:
        super().__init__()
        self.resnets = resnets
        if attentions:
            self.attentions = attentions

    def pair(self, number: int, x: mx.array, time: mx.array, context: mx.array) -> mx.array:
        """The resnet of this number and the attention after it, if there is one."""
        x = self.resnets[number](x, time)
        attentions = self.get("attentions", [])
        return attentions[number](x, context) if number < len(attentions) else x


class UNet(nn.Module):
    """The U-Net of a config of diffusers.

    Raises:
        KeyError, ValueError: the config lacks something, or asks for what this module has not.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        widths = config["block_out_channels"]
        groups, eps = config.get("norm_num_groups", 32), config.get("norm_eps", 1e-5)
        counts = _per_stage(config.get("layers_per_block", 2), widths)
        heads = _per_stage(config.get("attention_head_dim", 8), widths)
        depths = _per_stage(config.get("transformer_layers_per_block", 1), widths)
        upward = config.get("reverse_transformer_layers_per_block")
        upward = list(reversed(depths)) if upward is None else upward
        context = _per_stage(config.get("cross_attention_dim", 1280), widths)
        time = config.get("time_embedding_dim") or 4 * widths[0]

        def resnet(given: int, made: int) -> ResnetBlock:
            return ResnetBlock(given, made, groups, eps, time)

        def attentions(stage: int, count: int, depth: Any) -> list[Transformer]:
            each = depth if isinstance(depth, list | tuple) else [depth] * count
            shape = widths[stage], context[stage], heads[stage]
            return [Transformer(*shape, each[number], groups) for number in range(count)]

        self.waves = Waves(config.get("flip_sin_to_cos", True), config.get("freq_shift", 0))
        self.centered = config.get("center_input_sample", False)
        self.time_width = widths[0]
        self.conv_in = nn.Conv2d(config.get("in_channels", 4), widths[0], 3, padding=1)
        self.time_embedding = Embedding(widths[0], time, config.get("time_cond_proj_dim"))
        if config.get("addition_embed_type") == "text_time":
            self.size_waves = config["addition_time_embed_dim"]
            self.add_embedding = Embedding(config["projection_class_embeddings_input_dim"], time)

        self.down_blocks, kept = [], [widths[0]]
        for stage, (kind, width) in enumerate(zip(config["down_block_types"], widths, strict=True)):
            givens = [kept[-1], *[width] * (counts[stage] - 1)]
            crossed = attentions(stage, counts[stage] if "Cross" in kind else 0, depths[stage])
            block = Stage([resnet(given, width) for given in givens], crossed)
            kept += [width] * counts[stage]
            if stage < len(widths) - 1:
                block.downsamplers = [Downsample(width)]
                kept.append(width)
            self.down_blocks.append(block)

        last = len(widths) - 1
        middle = config.get("mid_block_type", CROSSED)
        if middle is not None:
            crosses = middle == CROSSED
            resnets = [resnet(widths[last], widths[last]) for _ in range(1 + crosses)]
            self.mid_block = Stage(resnets, attentions(last, int(crosses), depths[-1]))

        self.up_blocks, below = [], widths[last]
        for number, kind in enumerate(config["up_block_types"]):
            stage = last - number
            width, resnets = widths[stage], []
            for _ in range(counts[stage] + 1):
                resnets.append(resnet(below + kept.pop(), width))
                below = width
            crossed = attentions(stage, len(resnets) if "Cross" in kind else 0, upward[number])
            block = Stage(resnets, crossed)
            if stage:
                block.upsamplers = [Upsample(width)]
            self.up_blocks.append(block)
        self.conv_norm_out = group_norm(groups, widths[0], eps)
        self.conv_out = nn.Conv2d(widths[0], config.get("out_channels", 4), 3, padding=1)

    def __call__(
        self,
        latents: mx.array,
        timestep: mx.array,
        context: mx.array,
        pooled: mx.array | None = None,
        sizes: mx.array | None = None,
        guidance: mx.array | None = None,
    ) -> mx.array:
        """The noise in latents.

        Args:
            latents: (n, height, width, channels).
            timestep: (1,), float32.
            context: (n, tokens, width): the prompts.
            pooled: (n, width), and `sizes`: (n, 6), both for SDXL alone.
            guidance: (n, width), for a latent consistency model alone.
        """
        dtype = latents.dtype
        time = self.time_embedding(self.waves(timestep, self.time_width).astype(dtype), guidance)
        if pooled is not None and sizes is not None:
            size = self.waves(sizes.reshape(-1), self.size_waves).reshape(len(sizes), -1)
            time = time + self.add_embedding(mx.concatenate([pooled, size.astype(dtype)], axis=-1))
        x = self.conv_in(2 * latents - 1 if self.centered else latents)
        kept = [x]
        for block in self.down_blocks:
            for number in range(len(block.resnets)):
                x = block.pair(number, x, time, context)
                kept.append(x)
            if "downsamplers" in block:
                x = block.downsamplers[0](x)
                kept.append(x)
        for number in range(len(self.mid_block.resnets) if "mid_block" in self else 0):
            x = self.mid_block.pair(number, x, time, context)
        for block in self.up_blocks:
            for number in range(len(block.resnets)):
                x = block.pair(number, mx.concatenate([x, kept.pop()], axis=-1), time, context)
            if "upsamplers" in block:
                x = block.upsamplers[0](x, kept[-1].shape[1:3])
        return self.conv_out(nn.silu(self.conv_norm_out(x)))


class Waves:
    """Cosines, then sines, of numbers at `width` / 2 speeds: (n,) to (n, width).

    Args:
        flipped: whether the cosines are first.
        shift: by which the number of speeds is less, where they are spread.
    """

    def __init__(self, flipped: bool, shift: float) -> None:
        self.flipped, self.shift = flipped, shift

    def __call__(self, numbers: mx.array, width: int) -> mx.array:
        half = width // 2
        slower = -math.log(SPEEDS) / (half - self.shift)
        angles = numbers.astype(mx.float32)[:, None] * mx.exp(mx.arange(half) * slower)
        both = [mx.cos(angles), mx.sin(angles)]
        return mx.concatenate(both if self.flipped else both[::-1], axis=-1)


def _per_stage(value: Any, widths: list[int]) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * len(widths)
