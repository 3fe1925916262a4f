"""What all families share in the format `mlx`: the pass `quantize`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import RecipeError
from zoo.formats.options import read_pass
from zoo.hookspecs import hookimpl
from zoo.progress import Progress

BITS = (2, 3, 4, 5, 6, 8)
GROUPS = (32, 64, 128)


@dataclass(frozen=True)
class Quantize:
    """Options of the pass `quantize`, with mlx-lm's own meanings."""

    bits: int | None = field(default=None, metadata={"doc": "2, 3, 4, 5, 6 or 8"})
    group_size: int | None = field(default=None, metadata={"doc": "32, 64 or 128"})
    mode: Literal["affine", "mxfp4", "nvfp4", "mxfp8"] = "affine"
    mix: Literal["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"] | None = None

    def validate(self) -> list[tuple[str, str]]:
        faults = []
        if self.mode == "affine":
            if self.bits not in (None, *BITS):
                faults.append(("bits", f"must be one of {BITS}, not {self.bits}"))
            if self.group_size not in (None, *GROUPS):
                faults.append(("group_size", f"must be one of {GROUPS}, not {self.group_size}"))
        elif self.mix is not None:
            faults.append(("mix", f"goes with the mode 'affine', not '{self.mode}'"))
        if self.mix is not None and self.bits is not None:
            faults.append(("bits", "cannot be given together with 'mix', which decides them"))
        return faults


def read_quantize(recipe: Recipe, build: Build) -> Quantize:
    """The options of the one pass that a build in this format can have.

    Raises:
        RecipeError: it asks for other passes, or gives a wrong option.
    """
    if [step.kind for step in build.optimize] != ["quantize"]:
        kinds = ", ".join(f"'{step.kind}'" for step in build.optimize)
        raise RecipeError(f"'{recipe.ref}' asks mlx for {kinds}; it has one pass, 'quantize'")
    return read_pass(Quantize, recipe, build.optimize[0])


@hookimpl
def optimize(
    recipe: Recipe, build: Build, converted: Path, workdir: Path, progress: Progress
) -> Path:
    options = read_quantize(recipe, build)
    from zoo.formats.mlx.quantize import quantize

    given = {f.name: getattr(options, f.name) for f in fields(options)}
    quantize(converted, workdir, progress=progress, **given)
    return workdir
