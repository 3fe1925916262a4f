"""Stable Diffusion by Core ML: the components of a build, run together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json
from zoo.formats.coreml import Mode, Program, open_functions, open_program
from zoo.tasks import DenoisingStep, ImageOptions
from zoo_stable_diffusion.coreml.components import DECODER, ENCODER, MOST_AT_ONCE, SUFFIX, UNET
from zoo_stable_diffusion.model import Conditioning, StableDiffusionModel
from zoo_stable_diffusion.safety import CHECKER


class CoreMLStableDiffusion(StableDiffusionModel):
    """A build of this module.

    Args:
        folder: a finished build.
        mode: precision of the reference executor, on systems without Core ML.
    """

    def __init__(self, folder: Path, mode: Mode = "fp16") -> None:
        super().__init__(folder)

        def opened(name: str) -> Program:
            return open_program(folder / f"{name}{SUFFIX}", mode=mode)

        self.encoders = [opened(name) for name in self.config.encoders]
        self.decoder, self.encoder = opened(DECODER), opened(ENCODER)
        self._functions = open_functions(folder / f"{UNET}{SUFFIX}", mode=mode)
        self.unet, self.adapters = self._functions.open(), tuple(self._functions.names[1:])
        self.checks = (folder / f"{CHECKER}{SUFFIX}").is_dir()
        self.checker: Any = opened(CHECKER) if self.checks else None
        levels = len(read_json(folder / UNET / "config.json")["block_out_channels"])
        self.multiple = self.config.factor * 2 ** (levels - 1)

    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        sizes = {"width": options.width, "height": options.height}
        if image is not None:
            sizes = {side: sizes[side] or getattr(image, side) for side in sizes}
        for side, pixels in sizes.items():
            if pixels and pixels % self.multiple and not pixels % self.config.factor:
                raise zoo.InputError(
                    f"a Core ML build has sides that are multiples of {self.multiple} pixels, "
                    f"and the {side} is {pixels}",
                    f"the nearest is {max(1, round(pixels / self.multiple)) * self.multiple}",
                )
        return super().denoise(prompts, options, image, mask)

    def text(self, ids: Sequence[Any]) -> Conditioning:
        import numpy as np

        hidden, pooled = [], None
        for encoder, rows in zip(self.encoders, ids, strict=True):
            found = [encoder.predict({"input_ids": row[None].astype(np.float32)}) for row in rows]
            name = "hidden_embeds" if self.config.sized else "last_hidden_state"
            hidden.append(_joined(found, name))
            pooled = _joined(found, "pooled_outputs") if self.config.sized else None
        return Conditioning(np.concatenate(hidden, 2), pooled)

    def noise(self, latents: Any, timestep: float, conditioning: Conditioning, sizes: Any) -> Any:
        import numpy as np

        given = {
            "sample": latents,
            "timestep": np.full(len(latents), timestep, np.float32),
            "encoder_hidden_states": conditioning.hidden.transpose(0, 2, 1)[:, :, None],
        }
        if sizes is not None:
            given |= {"time_ids": sizes, "text_embeds": conditioning.pooled}
        if conditioning.guidance is not None:
            given["timestep_cond"] = conditioning.guidance
        found = [
            self.unet.predict({name: array[start:end] for name, array in given.items()})
            for start, end in _parts(len(latents))
        ]
        return _joined(found, "noise_pred")

    def picture(self, latents: Any) -> Any:
        return _joined([self.decoder.predict({"z": row[None]}) for row in latents], "image")

    def latents(self, pictures: Any) -> Any:
        return self.moments(pictures)[0]

    def moments(self, pictures: Any) -> tuple[Any, Any]:
        found = _joined([self.encoder.predict({"x": row[None]}) for row in pictures], "latent")
        return found[:, : self.config.channels], found[:, self.config.channels :]

    def switch(self, adapter: str | None) -> None:
        self.unet = self._functions.open(adapter)

    def unsafe(self, seen: Any) -> Sequence[bool]:
        import numpy as np

        none = np.zeros(1, np.float32)
        given = [{"clip_input": one[None], "adjustment": none} for one in seen]
        return [bool(self.checker.predict(one)["has_nsfw_concepts"][0]) for one in given]

    def close(self) -> None:
        super().close()
        self.drop("encoders", "decoder", "encoder", "unet", "checker", "_functions")


def _parts(count: int) -> list[tuple[int, int]]:
    return [(n, min(n + MOST_AT_ONCE, count)) for n in range(0, count, MOST_AT_ONCE)]


def _joined(found: Sequence[Mapping[str, Any]], name: str) -> Any:
    import numpy as np

    return np.concatenate([np.asarray(part[name], np.float32) for part in found])
