"""What all families share in the format `mlx`: the pass `quantize`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from zoo.catalogs.recipe import Build, Recipe
from zoo.formats.mlx.description import read_quantize
from zoo.hookspecs import hookimpl
from zoo.progress import Progress


@hookimpl
def optimize(
    recipe: Recipe, build: Build, converted: Path, workdir: Path, progress: Progress
) -> Path:
    options = read_quantize(recipe, build)
    from zoo.formats.mlx.quantize import quantize

    given = {f.name: getattr(options, f.name) for f in fields(options)}
    quantize(converted, workdir, progress=progress, **given)
    return workdir
