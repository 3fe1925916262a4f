"""Stable Diffusion by Core ML: the components of a build, run together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json
from zoo.formats.coreml import Mode, Package, open_functions, open_program
from zoo.tasks import DenoisingStep, ImageOptions
from zoo_stable_diffusion.coreml.components import MOST_AT_ONCE, SUFFIX, text_outputs
from zoo_stable_diffusion.programs import DECODER, UNET, StableDiffusionPrograms


class CoreMLStableDiffusion(StableDiffusionPrograms):
    """A build of this module.

    Args:
        folder: a finished build.
        mode: precision of the reference executor, on systems without Core ML.
    """

    def __init__(self, folder: Path, mode: Mode = "fp16") -> None:
        super().__init__(folder, SUFFIX, partial(open_program, mode=mode))
        self.text_outputs = text_outputs(self.config)
        self._functions = open_functions(folder / f"{UNET}{SUFFIX}", mode=mode)
        self.unet, self.adapters = self._functions.open(), tuple(self._functions.names[1:])
        levels = len(read_json(folder / UNET / "config.json")["block_out_channels"])
        self.multiple = self.config.factor * 2 ** (levels - 1)
        self.only = _only_size(folder, self.config.factor)
        self.at_once = MOST_AT_ONCE if self.only is None else 1

    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        sizes = {"width": options.width, "height": options.height}
        if image is not None:
            sizes = {side: sizes[side] or getattr(image, side) for side in sizes}
        if self.only is not None:
            _require_size(sizes, self.only)
        for side, pixels in sizes.items():
            if pixels and pixels % self.multiple and not pixels % self.config.factor:
                raise zoo.InputError(
                    f"the {side} must be a multiple of {self.multiple} pixels in a Core ML build, "
                    f"not {pixels}",
                    f"the nearest is {max(1, round(pixels / self.multiple)) * self.multiple}",
                )
        return super().denoise(prompts, options, image, mask)

    def switch(self, adapter: str | None) -> None:
        self.unet = self._functions.open(adapter)

    def close(self) -> None:
        super().close()
        self.drop("_functions")


def _only_size(folder: Path, factor: int) -> dict[str, int] | None:
    """Width and height of the images of a build that makes no others."""
    interface, _ = Package(folder / f"{DECODER}{SUFFIX}").function(None)
    array = interface.input[0].type.multiArrayType
    if array.WhichOneof("ShapeFlexibility") is not None:
        return None
    return {"width": factor * array.shape[3], "height": factor * array.shape[2]}


def _require_size(sizes: Mapping[str, int | None], only: Mapping[str, int]) -> None:
    """Refuse a size that a build does not make.

    Raises:
        InputError: with the size that it makes.
    """
    if any(pixels and pixels != only[side] for side, pixels in sizes.items()):
        width, height = (sizes[side] or only[side] for side in ("width", "height"))
        raise zoo.InputError(
            f"this build makes images of {only['width']}x{only['height']} pixels alone, and "
            f"{width}x{height} were asked for",
            "leave the size out and give no image of another size, or use a build for the GPU, "
            "such as coreml-fp16",
        )
