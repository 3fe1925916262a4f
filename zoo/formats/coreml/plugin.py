"""What all families share in the format `coreml`: the passes `quantize` and `palettize`."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import RecipeError
from zoo.formats.coreml.language import compress_decoder
from zoo.formats.coreml.passes import read_pass
from zoo.formats.coreml.spec import SPEC_FILE
from zoo.hookspecs import hookimpl
from zoo.progress import Progress
from zoo.recipe import Build, Recipe


@hookimpl
def optimize(
    recipe: Recipe, build: Build, converted: Path, workdir: Path, progress: Progress
) -> Path:
    compression = read_pass(recipe, build)
    if not (converted / SPEC_FILE).is_file():
        raise RecipeError(
            f"'{recipe.ref}' asks for a pass, and the family '{recipe.family}' has none in coreml"
        )
    return compress_decoder(recipe, compression, converted, workdir, progress)
