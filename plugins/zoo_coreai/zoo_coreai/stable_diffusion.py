"""Stable Diffusion by Core AI: a program for each component, for pictures of one size.

Shapes are fixed, as in Apple's own recipes: programs load faster so, and run on every compute unit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json, read_options
from zoo.tasks import DenoisingStep, ImageOptions

from zoo_coreai.options import DiffusionOptions
from zoo_coreai.running import SUFFIX, opened
from zoo_coreai.writing import Names, write_program
from zoo_stable_diffusion import programs
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.programs import UNET, Shape, StableDiffusionPrograms
from zoo_stable_diffusion.safety import CHECKER

ABOUT = "coreai.json"
"""Where a build keeps the size of its pictures."""

TEXT_OUTPUTS = "hidden", "pooled"


class CoreAIStableDiffusion(StableDiffusionPrograms):
    """A build of this module."""

    text_outputs = TEXT_OUTPUTS

    def __init__(self, folder: Path) -> None:
        self._programs = ExitStack()
        super().__init__(folder, SUFFIX, lambda path: opened(path, self._programs))
        self.unet = opened(folder / f"{UNET}{SUFFIX}", self._programs)
        about = read_json(folder / ABOUT)
        if not all(type(about.get(side)) is int for side in ("width", "height")):
            raise zoo.IntegrityError(f"{folder / ABOUT} is damaged", "build it again")
        self.size: tuple[int, int] = about["width"], about["height"]

    def denoise(
        self, prompts: Sequence[str], options: ImageOptions, image: Any, mask: Any
    ) -> Iterator[DenoisingStep]:
        width, height = self.size
        if image is not None:
            asked = options.width or image.width, options.height or image.height
        else:
            asked = options.width or width, options.height or height
        if asked != self.size:
            raise zoo.InputError(
                f"this Core AI build generates pictures of {width}x{height} pixels, and "
                f"{asked[0]}x{asked[1]} is asked for",
                "choose another format, or build for this size with the options 'width' and "
                "'height'",
            )
        return super().denoise(prompts, replace(options, width=width, height=height), image, mask)

    def close(self) -> None:
        super().close()
        self._programs.close()


class Conversion(programs.Conversion):
    """The conversion of one pipeline.

    Args:
        recipe: the source of the metadata in the programs.
        source: the pipeline's folder.
        workdir: where the programs go.
        options: of the build.

    Raises:
        zoo.RecipeError: the model cannot generate images of this size.
    """

    text_outputs = TEXT_OUTPUTS

    def __init__(
        self, recipe: zoo.Recipe, source: Path, workdir: Path, options: DiffusionOptions
    ) -> None:
        import torch

        super().__init__(read_diffusion_config(source), source, workdir)
        self.recipe, self.kind = recipe, getattr(torch, options.precision)
        self.width = options.width or self.config.width
        self.height = options.height or self.config.height
        factor = self.config.factor
        for name in ("width", "height"):
            if (pixels := getattr(self, name)) % factor or pixels < factor:
                raise zoo.RecipeError(
                    f"'{self.recipe.ref}' asks coreai for a {name} of {pixels} pixels, which is "
                    f"not a multiple of {factor}"
                )

    def sides(self, factor: int = 1) -> tuple[int, int]:
        high, wide = (side // self.config.factor for side in (self.height, self.width))
        return factor * high, factor * wide

    def write(
        self, module: Any, inputs: Mapping[str, Shape], outputs: Sequence[str], name: str
    ) -> None:
        import torch

        kind = torch.float32 if name == CHECKER else self.kind  # thousandths of its scores decide
        example = [
            torch.ones(shape, dtype=torch.int32 if given == "input_ids" else kind)
            for given, shape in inputs.items()
        ]
        path = self.workdir / f"{name}{SUFFIX}"
        names = Names(list(inputs), outputs)
        write_program(module.eval().to(kind), example, names, path, self.recipe)

    def copy_the_rest(self) -> None:
        about = {"width": self.width, "height": self.height}
        (self.workdir / ABOUT).write_text(json.dumps(about, indent=2))
        super().copy_the_rest()


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe, build: zoo.Build, source: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    options = read_options(DiffusionOptions, recipe, build)
    Conversion(recipe, source, workdir, options).run(progress)
    return workdir


@zoo.hookimpl
def run(artifact: Path) -> zoo.ImageModel:
    return CoreAIStableDiffusion(artifact)
