"""Stable Diffusion by Core ML: a package for each component.

The packages have the names, inputs and outputs of https://github.com/apple/ml-stable-diffusion.
Sizes are flexible, and so is the number of pictures, up to two: one away from the negative prompt
and one toward its own. The sizes that the model was trained for are those that Core ML prepares.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import zoo
from zoo.formats.coreml import compress_folder, read_passes
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.coreml.components import (
    Conversion,
    read_styles,
    read_target,
)
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion
from zoo_stable_diffusion.coreml.passes import (
    MixedDrawing,
    WithoutVAE,
    read_prompts,
    require_measurable,
)
from zoo_stable_diffusion.loading import quiet


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe,
    build: zoo.Build,
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    progress: zoo.Progress,
) -> Path:
    target, config = read_target(recipe, build), read_diffusion_config(source)
    if build.optimize:
        passes = read_passes(recipe, build, MixedDrawing)
        if isinstance(passes.mixed, MixedDrawing):
            read_prompts(recipe, passes.mixed)
            require_measurable(recipe, config, whole=target.chunks == 1)
    styles = read_styles(recipe, source, adapters, target)
    with quiet():
        Conversion(recipe, config, source, workdir, target, styles).run(progress)
    return workdir


@zoo.hookimpl
def optimize(
    recipe: zoo.Recipe, build: zoo.Build, converted: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    read_target(recipe, build)
    passes, choice = read_passes(recipe, build, MixedDrawing), None
    if isinstance(passes.mixed, MixedDrawing):
        from zoo_stable_diffusion.coreml.mixed import choose_bits

        passes, choice = choose_bits(recipe, passes.mixed, converted, progress)
    return compress_folder(
        WithoutVAE(passes), converted, workdir, progress, f"'{recipe.ref}'", choice
    )


@zoo.hookimpl
def run(artifact: Path) -> zoo.ImageModel:
    return CoreMLStableDiffusion(artifact)
