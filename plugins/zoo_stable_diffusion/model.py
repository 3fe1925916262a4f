"""Stable Diffusion in any format: one denoising loop for all.

Each format writes `text`, `noise`, `picture` and `latents`; arrays of float32 cross the boundary,
channels first. Schedulers are those of diffusers (https://github.com/huggingface/diffusers), and
noise comes from PyTorch's generator on the CPU, so that a seed gives the picture it gives there.
"""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log
from pathlib import Path
from typing import Any

import zoo
from zoo.tasks import DenoisingStep, ImageOptions
from zoo_stable_diffusion.canvas import Canvas
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.loading import load_tokenizer
from zoo_stable_diffusion.safety import Look
from zoo_stable_diffusion.schedulers import Schedule, step

BESIDE = ("scheduler", "tokenizer", "tokenizer_2")
"""Folders of a pipeline that every build keeps as they are."""

LARGEST = 4096 * 4096
"""Pixels of one picture: each latent attends to each other."""

AESTHETICS = 2.5, 6.0
"""Scores that a refiner is given with the negative prompt and with the prompt."""

LOG_VARIANCE = -30.0, 20.0
"""Bounds of the logarithm of the variance of latents."""

WEIGHT = re.compile(r"\([^()]*:\s*\d*\.?\d+\s*\)")
"""A word with a weight, such as (red:1.3)."""

PROBE_SEED, PROBE_TIMES = 7, (981.0, 501.0, 21.0)
"""The noise and the times at which `component_outputs` asks the U-Net."""


@dataclass(frozen=True)
class Conditioning:
    """The conditioning of the U-Net for n prompts.

    Attributes:
        hidden: (n, 77, width).
        pooled: (n, width of the second encoder) for SDXL, else `None`.
        guidance: (n, width), how much the prompt counts, for a latent consistency model; else
            `None`.
    """

    hidden: Any
    pooled: Any = None
    guidance: Any = None

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
        self.schedule = Schedule(self.config.schedule, self.config.corrections)
        self.tokenizers = [load_tokenizer(folder, name) for name in self.config.encoders]

    @abstractmethod
    def text(self, ids: Sequence[Any]) -> Conditioning:
        """Encode prompts: for each text encoder, the token ids of shape (n, 77)."""

    @abstractmethod
    def noise(self, latents: Any, timestep: float, conditioning: Conditioning, sizes: Any) -> Any:
        """The noise that the U-Net finds in latents of shape (n, channels, height, width).

        Args:
            latents: float32.
            timestep: as the sampler gives it, mostly 0 to 999.
            conditioning: of the prompts.
            sizes: (n, 6) for SDXL: the height and width of the whole, where the picture is cut out
                of it, height and width of the picture; else `None`.
        """

    @abstractmethod
    def picture(self, latents: Any) -> Any:
        """The pictures of unscaled latents: float32 (n, 3, height, width), about -1 to 1."""

    @abstractmethod
    def latents(self, pictures: Any) -> Any:
        """The mean of unscaled latents of pictures (n, 3, height, width) from -1 to 1."""

    def moments(self, pictures: Any) -> tuple[Any, Any]:
        """The mean of unscaled latents, and the logarithm of their variance, if it is known.

        Args:
            pictures: as for `latents`.
        """
        return self.latents(pictures), None

    def unsafe(self, seen: Any) -> Sequence[bool]:
        """Which pictures the safety checker flags.

        Called only where `checks` is true: a format that has no safety checker needs no override.

        Args:
            seen: float32 (n, 3, side, side), as `Look.at` prepares them.

        Raises:
            NotImplementedError: the format sets `checks` and does not override this.
        """
        raise NotImplementedError(f"{type(self).__name__} has no safety checker")

    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        config = self.config
        width = options.width or (image.width if image else config.width)
        height = options.height or (image.height if image else config.height)
        for name, size in (("width", width), ("height", height)):
            if size < config.factor or size % config.factor:
                near = max(config.factor, round(size / config.factor) * config.factor)
                raise zoo.InputError(
                    f"the {name} must be a multiple of {config.factor} pixels, not {size}",
                    f"the nearest is {near}",
                )
        if width * height > LARGEST:
            raise zoo.InputError(
                f"{width}x{height} is more than {LARGEST:,} pixels, the largest image",
                f"the model was trained for {config.width}x{config.height}",
            )
        if image is not None and (image.width, image.height) != (width, height):
            raise zoo.InputError(
                f"the image is {image.width}x{image.height}, and {width}x{height} is asked for",
                "leave width and height out, or resize the image",
            )
        if config.given > config.channels and mask is None:
            raise zoo.InputError(f"'{self.ref}' is made for inpainting", "give an image and a mask")
        if config.refines and image is None:
            raise zoo.InputError(
                f"'{self.ref}' is a refiner, which starts from an image", "give an image"
            )
        strength = None if image is None else options.strength
        plan = self.schedule.plan(options.scheduler, options.steps, strength)
        return self._steps(prompts, options, plan, (height, width), image, mask)

    def _steps(
        self,
        prompts: Sequence[str],
        options: ImageOptions,
        plan: tuple[Any, Any],
        size: tuple[int, int],
        image: Any,
        mask: Any,
    ) -> Iterator[DenoisingStep]:
        import torch

        assert options.seed is not None, "ImageModel gives every call a seed"
        (scheduler, times), config = plan, self.config
        guided = options.guidance > 1 and not config.guided_inside
        conditioning, sizes = self.conditioning(prompts, options.negative, guided, size)
        if config.guided_inside:
            conditioning = replace(
                conditioning, guidance=self._guidance(options.guidance, len(prompts))
            )
        seeds = [torch.Generator().manual_seed(options.seed + n) for n in range(len(prompts))]
        shape = 1, config.channels, *(side // config.factor for side in size)
        canvas = None
        if image is not None:
            inpaints = config.given > config.channels
            canvas = Canvas(
                image, mask, seeds, shape, self._sampled, options.strength, shown_mask=inpaints
            )
            latents = canvas.begin(scheduler, times[0])
        else:
            noise = torch.cat([torch.randn(shape, generator=seed) for seed in seeds])
            latents = noise * scheduler.init_noise_sigma
        for number, time in enumerate(times, 1):
            self.require_open()
            seen = scheduler.scale_model_input(latents, time)
            seen = canvas.shown(seen) if canvas else seen
            given = (torch.cat([seen, seen]) if guided else seen).float()
            found = torch.from_numpy(self.noise(given.numpy(), float(time), conditioning, sizes))
            if guided:
                away, toward = found.chunk(2)
                found = away + options.guidance * (toward - away)
            latents = step(scheduler, found, time, latents, seeds)
            if canvas:
                following = times[number] if number < len(times) else None
                latents = canvas.kept(scheduler, latents, following)
            yield DenoisingStep(
                number,
                len(times),
                partial(self._drawn, latents.clone(), options.safety),
                options.seed,
            )

    def _guidance(self, guidance: float, count: int) -> Any:
        """The guidance embedding of a latent consistency model: waves of (count, width).

        https://arxiv.org/abs/2310.04378; the waves are those of
        https://arxiv.org/abs/2107.00630.
        """
        import numpy as np

        width = self.config.guided_inside
        half = width // 2
        speeds = np.exp(np.arange(half, dtype=np.float32) * -(log(10000) / (half - 1)))
        angles = np.float32((guidance - 1) * 1000) * speeds
        waves = np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width % 2, np.float32)])
        return np.tile(waves.astype(np.float32), (count, 1))

    def conditioning(
        self, prompts: Sequence[str], negative: str, guided: bool, size: tuple[int, int]
    ) -> tuple[Conditioning, Any]:
        """The conditioning: first of the negative prompt, if guided, then of the prompts."""
        import numpy as np

        conditioning = self.text(self.tokens(prompts))
        rows = len(prompts)
        if guided:
            away = self.text(self.tokens([negative] * len(prompts)))
            if self.config.zero_empty and not negative:
                pooled = None if away.pooled is None else np.zeros_like(away.pooled)
                away = Conditioning(np.zeros_like(away.hidden), pooled)
            conditioning, rows = conditioning.after(away), 2 * rows
        return conditioning, self._sizes(size, rows, len(prompts)) if self.config.sized else None

    def _sizes(self, size: tuple[int, int], rows: int, count: int) -> Any:
        """SDXL's size conditioning; the last `count` rows are of the prompts."""
        import numpy as np

        if not self.config.scored:
            return np.array([[*size, 0, 0, *size]] * rows, np.float32)
        away, toward = AESTHETICS
        scores = [away] * (rows - count) + [toward] * count
        return np.array([[*size, 0, 0, score] for score in scores], np.float32)

    def tokens(self, prompts: Sequence[str]) -> list[Any]:
        """For each text encoder, the ids of shape (n, 77); warns of what does not fit."""
        import numpy as np

        found = []
        for number, tokenizer in enumerate(self.tokenizers):
            texts = [expanded(prompt, tokenizer) for prompt in prompts]
            for text in texts if number == 0 else ():
                self._warn_of_cut(text, tokenizer)
                self._warn_of_weights(text)
            made = tokenizer(
                texts,
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
                f"truncated: '{cut}'",
                stacklevel=2,
            )

    def _warn_of_weights(self, prompt: str) -> None:
        if (found := WEIGHT.search(prompt)) is not None:
            warnings.warn(
                f"'{found[0]}' is read as plain text, as diffusers does: prompt weights, "
                "as in A1111's web UI, have no effect",
                stacklevel=2,
            )

    def component_outputs(self, prompt: str) -> Mapping[str, Any]:
        import numpy as np
        import torch

        self.require_open()
        config, seed = self.config, torch.Generator().manual_seed(PROBE_SEED)
        size = config.height, config.width
        sides = [side // config.factor for side in size]
        latents = torch.randn(1, config.given, *sides, generator=seed).numpy()
        conditioning, sizes = self.conditioning([prompt], "", False, size)
        if config.guided_inside:
            conditioning = replace(conditioning, guidance=self._guidance(1.0, 1))
        picture = self.picture(latents[:, : config.channels])
        return {
            "text_encoder": conditioning.hidden,
            "unet": np.stack(
                [self.noise(latents, time, conditioning, sizes) for time in PROBE_TIMES]
            ),
            "vae_decoder": picture,
            "vae_encoder": self.latents(np.clip(picture, -1, 1)),
        }

    def _sampled(self, pixels: Any, seed: Any) -> Any:
        """Scaled latents of pixels (1, 3, height, width), sampled as diffusers does."""
        import torch

        mean, spread = self.moments(pixels.numpy())
        latents = torch.from_numpy(mean)
        if spread is not None:
            deviation = torch.exp(0.5 * torch.from_numpy(spread).clamp(*LOG_VARIANCE))
            latents = latents + deviation * torch.randn(latents.shape, generator=seed)
        if self.config.mean is not None:
            center, width = self._normed()
            return (latents - center) * self.config.scale / width
        return latents * self.config.scale

    def _unscaled(self, latents: Any) -> Any:
        if self.config.mean is not None:
            center, width = self._normed()
            return latents * width / self.config.scale + center
        return latents / self.config.scale

    def _normed(self) -> tuple[Any, Any]:
        import torch

        each = self.config.mean, self.config.deviation
        center, width = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in each)
        return center, width

    def _drawn(self, latents: Any, safety: bool) -> list[Any]:
        from PIL import Image

        self.require_open()
        pictures = self.picture(self._unscaled(latents).numpy())
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
                f"the safety checker of '{self.ref}' flags {count}, which is replaced by "
                "a black image: try another seed or prompt",
                stacklevel=2,
            )
        pairs = zip(drawn, flagged, strict=True)
        return [Image.new("RGB", one.size) if bad else one for one, bad in pairs]


def expanded(prompt: str, tokenizer: Any) -> str:
    """A prompt with all the tokens of a textual inversion in place of the first, as diffusers does.

    A concept of several vectors is the tokens `<x>`, `<x>_1`, `<x>_2`, ... of the tokenizer.
    https://arxiv.org/abs/2208.01618
    """
    added = tokenizer.added_tokens_encoder
    for token in {token for token in tokenizer.tokenize(prompt) if f"{token}_1" in added}:
        if token in added:
            names, number = [token], 1
            while f"{token}_{number}" in added:
                names.append(f"{token}_{number}")
                number += 1
            prompt = prompt.replace(token, " ".join(names))
    return prompt
