"""What all families share in the format `coreai`: the passes."""

from __future__ import annotations

from pathlib import Path

import zoo
from zoo.formats import read_pass

from zoo_coreai.description import DESCRIPTION
from zoo_coreai.options import PASSES


@zoo.hookimpl
def optimize(
    recipe: zoo.Recipe, build: zoo.Build, converted: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    if faults := [f"{where}: {what}" for where, what in DESCRIPTION.faults(recipe, build)]:
        raise zoo.RecipeError(f"'{recipe.ref}' has a build that coreai cannot make:", tuple(faults))
    (step,) = build.optimize
    from zoo_coreai.compression import compress_folder

    compress_folder(read_pass(PASSES[step.kind], recipe, step), converted, workdir, progress)
    return workdir
