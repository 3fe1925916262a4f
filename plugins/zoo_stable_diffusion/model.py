"""Stable Diffusion in any format: one denoising loop for all.

Each format writes `text`, `noise`, `picture` and `latents`; arrays of float32 cross the boundary,
channels first. Schedulers are those of diffusers (https://github.com/huggingface/diffusers), and
noise comes from PyTorch's generator on the CPU, so that a seed gives the picture it gives there.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import zoo
from zoo.tasks import DenoisingStep, ImageOptions
from zoo_stable_diffusion.canvas import Canvas, pixels_of, veil_of
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.loading import load_tokenizer
from zoo_stable_diffusion.safety import Look
from zoo_stable_diffusion.schedulers import make_scheduler

BESIDE = ("scheduler", "tokenizer", "tokenizer_2")
"""Folders of a pipeline that every build keeps as they are."""

PROBE_SEED, PROBE_TIMES = 7, (981.0, 501.0, 21.0)
"""The noise and the times at which `component_outputs` asks the U-Net."""


@dataclass(frozen=True)
class Conditioning:
    """What the U-Net is told of n prompts.

    Attributes:
        hidden: (n, 77, width).
        pooled: (n, width of the second encoder) for SDXL, else `None`.
    """

    hidden: Any
    pooled: Any = None

    def after(self, other: Conditioning) -> Conditioning:
        """That of another and then this, as one batch."""
        import numpy as np

        pooled = None if self.pooled is None else np.concatenate([other.pooled, self.pooled])
        return Conditioning(np.concatenate([other.hidden, self.hidden]), pooled)


class StableDiffusionModel(zoo.ImageModel):
    """A Stable Diffusion: `text`, `noise`, `picture` and `latents` are what a format brings.

    Args:
        folder: a pipeline's folder, with its configs and tokenizers.
    """

    checks = False
    """Whether there is a safety checker, which `unsafe` asks."""

    def __init__(self, folder: Path) -> None:
        self.config, self.look = read_diffusion_config(folder), Look.read(folder)
        make_scheduler(None, self.config.scheduler, self.config.schedule)  # a fault is said now
        self.tokenizers = [load_tokenizer(folder, name) for name in self.config.encoders]

    @abstractmethod
    def text(self, ids: Sequence[Any]) -> Conditioning:
        """Encode prompts: for each text encoder, the token ids of shape (n, 77)."""

    @abstractmethod
    def noise(self, latents: Any, timestep: float, told: Conditioning, sizes: Any) -> Any:
        """The noise that the U-Net finds in latents of shape (n, channels, height, width).

        Args:
            latents: float32.
            timestep: 0 to 999.
            told: what it is told of the prompts.
            sizes: (n, 6) for SDXL: the height and width of the whole, where the picture is cut out
                of it, height and width of the picture; else `None`.
        """

    @abstractmethod
    def picture(self, latents: Any) -> Any:
        """The pictures of unscaled latents: float32 (n, 3, height, width), about -1 to 1."""

    @abstractmethod
    def latents(self, pictures: Any) -> Any:
        """The unscaled latents of pictures of shape (n, 3, height, width) from -1 to 1."""

    def unsafe(self, seen: Any) -> Sequence[bool]:
        """Which pictures the safety checker flags.

        Args:
            seen: float32 (n, 3, side, side), as `Look.at` prepares them.
        """
        raise NotImplementedError(f"{type(self).__name__} has no safety checker")

    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        config = self.config
        width = options.width or (image.width if image else config.side)
        height = options.height or (image.height if image else config.side)
        for name, size in (("width", width), ("height", height)):
            if size < config.factor or size % config.factor:
                near = max(config.factor, round(size / config.factor) * config.factor)
                raise zoo.InputError(
                    f"the {name} must be a multiple of {config.factor} pixels, not {size}",
                    f"the nearest is {near}",
                )
        if image is not None and (image.width, image.height) != (width, height):
            raise zoo.InputError(
                f"the image is {image.width}x{image.height}, and {width}x{height} is asked for",
                "leave width and height out, or resize the image",
            )
        if config.given > config.channels and mask is None:
            raise zoo.InputError(
                f"'{self.ref}' is made for inpainting", "give an image and a mask to draw in"
            )
        scheduler = make_scheduler(options.scheduler, config.scheduler, config.schedule)
        return self._steps(prompts, options, scheduler, (height, width), image, mask)

    def _steps(
        self,
        prompts: Sequence[str],
        options: ImageOptions,
        scheduler: Any,
        size: tuple[int, int],
        image: Any,
        mask: Any,
    ) -> Iterator[DenoisingStep]:
        import torch

        count = len(prompts)
        guided = options.guidance > 1
        told, sizes = self.told(prompts, options.negative, guided, size)
        seeds = [torch.Generator().manual_seed(options.seed + n) for n in range(count)]
        shape = 1, self.config.channels, *(side // self.config.factor for side in size)
        noise = torch.cat([torch.randn(shape, generator=seed) for seed in seeds])
        scheduler.set_timesteps(options.steps)
        canvas = self._canvas(image, mask, noise, options)
        times = canvas.times(scheduler) if canvas else scheduler.timesteps
        latents = noise * scheduler.init_noise_sigma
        if canvas:
            latents = canvas.begin(scheduler, times[0])
        for number, time in enumerate(times, 1):
            self.require_open()
            seen = scheduler.scale_model_input(latents, time)
            seen = canvas.shown(seen) if canvas else seen
            given = torch.cat([seen, seen]) if guided else seen
            found = torch.from_numpy(self.noise(given.numpy(), float(time), told, sizes))
            if guided:
                away, toward = found.chunk(2)
                found = away + options.guidance * (toward - away)
            latents = _next(scheduler, found, time, latents, seeds)
            if canvas:
                following = times[number] if number < len(times) else None
                latents = canvas.kept(scheduler, latents, following)
            yield DenoisingStep(
                number,
                len(times),
                partial(self._drawn, latents.clone(), options.safety),
                options.seed,
            )

    def _canvas(self, image: Any, mask: Any, noise: Any, options: ImageOptions) -> Canvas | None:
        if image is None:
            return None
        pixels, count = pixels_of(image), len(noise)
        start = self._scaled_latents(pixels, count)
        if mask is None:
            return Canvas(start, noise, options)
        covered = None
        if self.config.given > self.config.channels:
            covered = self._scaled_latents(pixels * (pixels_of(mask) < 0), count)
        return Canvas(start, noise, options, veil_of(mask, noise.shape[-2:]), covered)

    def told(
        self, prompts: Sequence[str], negative: str, guided: bool, size: tuple[int, int]
    ) -> tuple[Conditioning, Any]:
        """What the U-Net is told: first of the negative prompt, if guided, then of the prompts."""
        import numpy as np

        told = self.text(self.tokens(prompts))
        rows = len(prompts)
        if guided:
            away = self.text(self.tokens([negative] * len(prompts)))
            if self.config.zero_empty and not negative:
                pooled = None if away.pooled is None else np.zeros_like(away.pooled)
                away = Conditioning(np.zeros_like(away.hidden), pooled)
            told, rows = told.after(away), 2 * rows
        sizes = np.array([[*size, 0, 0, *size]] * rows, np.float32) if self.config.sized else None
        return told, sizes

    def tokens(self, prompts: Sequence[str]) -> list[Any]:
        """For each text encoder, the ids of shape (n, 77); warns of what does not fit."""
        import numpy as np

        found = []
        for number, tokenizer in enumerate(self.tokenizers):
            for prompt in prompts if number == 0 else ():
                self._warn_of_cut(prompt, tokenizer)
            made = tokenizer(
                list(prompts),
                padding="max_length",
                truncation=True,
                max_length=tokenizer.model_max_length,
                return_tensors="np",
            )
            found.append(made.input_ids.astype(np.int32))
        return found

    def _warn_of_cut(self, prompt: str, tokenizer: Any) -> None:
        room = tokenizer.model_max_length - 2
        ids = tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids
        if len(ids) > room:
            cut = tokenizer.decode(ids[room:])
            warnings.warn(
                f"the prompt has {len(ids)} tokens, and '{self.ref}' takes {room}: "
                f"left out is '{cut}'",
                stacklevel=2,
            )

    def component_outputs(self, prompt: str) -> Mapping[str, Any]:
        import numpy as np
        import torch

        self.require_open()
        config, seed = self.config, torch.Generator().manual_seed(PROBE_SEED)
        side = config.side // config.factor
        latents = torch.randn(1, config.given, side, side, generator=seed).numpy()
        told, sizes = self.told([prompt], "", False, (config.side, config.side))
        picture = self.picture(latents[:, : config.channels])
        return {
            "text_encoder": told.hidden,
            "unet": np.stack([self.noise(latents, time, told, sizes) for time in PROBE_TIMES]),
            "vae_decoder": picture,
            "vae_encoder": self.latents(np.clip(picture, -1, 1)),
        }

    def _scaled_latents(self, pixels: Any, count: int) -> Any:
        import torch

        found = torch.from_numpy(self.latents(pixels)) * self.config.scale
        return found.repeat(count, 1, 1, 1)

    def _drawn(self, latents: Any, safety: bool) -> list[Any]:
        from PIL import Image

        self.require_open()
        pictures = self.picture((latents / self.config.scale).numpy())
        whole = ((pictures / 2 + 0.5).clip(0, 1) * 255).round().astype("uint8")
        drawn = [Image.fromarray(picture) for picture in whole.transpose(0, 2, 3, 1)]
        return self._covered(drawn) if safety and self.checks else drawn

    def _covered(self, drawn: list[Any]) -> list[Any]:
        """The pictures, black in place of those that the safety checker flags."""
        from PIL import Image

        flagged = self.unsafe(self.look.at(drawn))
        if any(flagged):
            count = f"{sum(flagged)} of {len(drawn)} pictures" if len(drawn) > 1 else "the picture"
            warnings.warn(
                f"the safety checker of '{self.ref}' flags {count}, which is black instead: "
                "try another seed or prompt",
                stacklevel=2,
            )
        pairs = zip(drawn, flagged, strict=True)
        return [Image.new("RGB", one.size) if bad else one for one, bad in pairs]


def _next(scheduler: Any, found: Any, time: Any, latents: Any, seeds: list[Any]) -> Any:
    """The latents after a step; a scheduler that adds noise draws it from the seeds."""
    from inspect import signature

    more = {"generator": seeds} if "generator" in signature(scheduler.step).parameters else {}
    return scheduler.step(found, time, latents, return_dict=False, **more)[0]
