"""A picture that is gone on from: image to image (https://arxiv.org/abs/2108.01073), inpainting.

The order in which random numbers are taken is that of diffusers, whose pictures these are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Sampled = Callable[[Any, Any], Any]
"""Scaled latents, sampled by a generator, of pixels (1, 3, height, width): (1, channels, h, w)."""


class Canvas:
    """What is there before the first step.

    Args:
        image: a `PIL.Image`.
        mask: a `PIL.Image`, white where the picture is made new; `None` for everywhere.
        seeds: the generator of each picture.
        shape: of the latents of one picture, (1, channels, height, width).
        sampled: encodes pixels.
        strength: the share of the way from noise to picture that is gone.
        shown_mask: whether the U-Net is given the mask and the picture without what it covers.
    """

    def __init__(
        self,
        image: Any,
        mask: Any,
        seeds: Sequence[Any],
        shape: tuple[int, ...],
        sampled: Sampled,
        strength: float,
        shown_mask: bool,
    ) -> None:
        import torch

        pixels = torch.from_numpy(pixels_of(image))
        self.from_noise = mask is not None and strength == 1
        self.start: Any = None
        self.veil: Any = None
        self.covered: Any = None
        starts, noises, covered = [], [], []
        for seed in seeds:
            if not (self.from_noise and shown_mask):
                starts.append(sampled(pixels, seed))
            noises.append(torch.randn(shape, generator=seed))
            if mask is not None:
                white = torch.from_numpy(pixels_of(mask)) >= 0
                covered.append(sampled(pixels * ~white, seed))
        self.noise = torch.cat(noises)
        self.start = torch.cat(starts) if starts else None
        if mask is not None:
            self.veil = veil_of(mask, shape[-2:])
            self.covered = torch.cat(covered) if shown_mask else None

    def begin(self, scheduler: Any, time: Any) -> Any:
        """The latents of the first step."""
        if self.from_noise:
            return self.noise * scheduler.init_noise_sigma
        return self._at(scheduler, time)

    def shown(self, latents: Any) -> Any:
        """The latents as the U-Net sees them: beside them mask and picture, if it takes those."""
        import torch

        if self.covered is None:
            return latents
        veil = self.veil.expand(len(latents), -1, -1, -1)
        return torch.cat([latents, veil, self.covered], 1)

    def kept(self, scheduler: Any, latents: Any, following: Any) -> Any:
        """The latents after a step, with the picture where it stays.

        Args:
            scheduler: which tells how noisy the picture is.
            latents: after the step.
            following: the time of the next step; `None` after the last.
        """
        import torch

        if self.veil is None or self.covered is not None:
            return latents
        known = self.start if following is None else self._at(scheduler, following)
        return torch.where(self.veil > 0.5, latents, known)

    def _at(self, scheduler: Any, time: Any) -> Any:
        return scheduler.add_noise(self.start, self.noise, time.repeat(len(self.start)))


def pixels_of(image: Any) -> Any:
    """float32 of shape (1, channels, height, width) from -1 to 1."""
    import numpy as np

    pixels: Any = np.asarray(image.convert("L") if image.mode == "1" else image, np.float32)
    pixels = 2 * (pixels / 255) - 1
    return pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]


def veil_of(mask: Any, size: tuple[int, ...]) -> Any:
    """A mask for latents of a size: float32 of shape (1, 1, height, width), 1 where it is white."""
    import torch

    white = torch.from_numpy(pixels_of(mask)) >= 0
    return torch.nn.functional.interpolate(white.float(), size=tuple(size))
