"""A picture that is drawn on: image to image (https://arxiv.org/abs/2108.01073) and inpainting."""

from __future__ import annotations

from typing import Any

from zoo.tasks import ImageOptions


class Canvas:
    """What is there before drawing begins.

    Args:
        start: scaled latents of the picture, (n, channels, height, width).
        noise: of the same shape.
        options: how it is drawn on.
        veil: (1, 1, height, width), 1 where it is drawn anew; `None` for everywhere.
        covered: scaled latents of the picture without what is drawn anew, for a U-Net that is told
            of it.
    """

    def __init__(
        self, start: Any, noise: Any, options: ImageOptions, veil: Any = None, covered: Any = None
    ) -> None:
        self.start, self.noise, self.options = start, noise, options
        self.veil, self.covered = veil, covered

    def times(self, scheduler: Any) -> Any:
        """The times that are left to a scheduler, by the strength."""
        steps = self.options.steps
        skipped = (steps - max(1, int(steps * self.options.strength))) * scheduler.order
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(skipped)
        return scheduler.timesteps[skipped:]

    def begin(self, scheduler: Any, time: Any) -> Any:
        """The latents of the first step."""
        if self.options.strength < 1:
            return self._at(scheduler, time)
        return self.noise * scheduler.init_noise_sigma

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

    pixels = np.asarray(image, np.float32) / 127.5 - 1
    return pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]


def veil_of(mask: Any, size: tuple[int, int]) -> Any:
    """A mask for latents of a size: float32 of shape (1, 1, height, width), 1 where it is white."""
    import torch

    pixels = torch.from_numpy(pixels_of(mask))
    return (torch.nn.functional.interpolate(pixels, size=size) > 0).float()
