"""What U-Net and autoencoder share in MLX; pictures are (n, height, width, channels)."""

from __future__ import annotations

import mlx.core as mx
from mlx import nn


class ResnetBlock(nn.Module):
    """Two convolutions beside a shortcut; `time` is the width of the embedding of the time."""

    def __init__(self, given: int, made: int, groups: int, eps: float, time: int = 0) -> None:
        super().__init__()
        self.norm1, self.conv1 = (
            group_norm(groups, given, eps),
            nn.Conv2d(given, made, 3, padding=1),
        )
        self.norm2, self.conv2 = group_norm(groups, made, eps), nn.Conv2d(made, made, 3, padding=1)
        if time:
            self.time_emb_proj = nn.Linear(time, made)
        if given != made:
            self.conv_shortcut = nn.Conv2d(given, made, 1)

    def __call__(self, x: mx.array, time: mx.array | None = None) -> mx.array:
        found = self.conv1(nn.silu(self.norm1(x)))
        if time is not None:
            found = found + self.time_emb_proj(nn.silu(time))[:, None, None]
        found = self.conv2(nn.silu(self.norm2(found)))
        return found + (self.conv_shortcut(x) if "conv_shortcut" in self else x)


class Downsample(nn.Module):
    """Half the size; the autoencoder pads below and to the right alone."""

    def __init__(self, channels: int, one_sided: bool = False) -> None:
        super().__init__()
        self.one_sided = one_sided
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=0 if one_sided else 1)

    def __call__(self, x: mx.array) -> mx.array:
        return self.conv(mx.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)]) if self.one_sided else x)


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def __call__(self, x: mx.array, size: tuple[int, int] | None = None) -> mx.array:
        """At `size`, by default twice the size, each pixel being the nearest one of `x`."""
        for axis, new in enumerate(size or (2 * x.shape[1], 2 * x.shape[2]), 1):
            old = x.shape[axis]
            whole = new == 2 * old
            x = mx.repeat(x, 2, axis) if whole else mx.take(x, mx.arange(new) * old // new, axis)
        return self.conv(x)


def group_norm(groups: int, channels: int, eps: float) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps, pytorch_compatible=True)


def attend(query: mx.array, key: mx.array, value: mx.array, heads: int) -> mx.array:
    """Attention of (n, positions, width) to (n, others, width)."""
    parts = [x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3) for x in (query, key, value)]
    scale = parts[0].shape[-1] ** -0.5
    mixed = mx.fast.scaled_dot_product_attention(*parts, scale=scale)
    return mixed.transpose(0, 2, 1, 3).reshape(query.shape)
