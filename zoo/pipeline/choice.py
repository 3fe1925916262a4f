"""Which build to use on this machine, when none is asked for."""

from __future__ import annotations

from typing import NamedTuple

from zoo import machine
from zoo.catalogs import estimates
from zoo.catalogs.chooser import best_build, rank
from zoo.catalogs.formats import format_of
from zoo.catalogs.pairs import usable
from zoo.catalogs.recipe import Recipe
from zoo.errors import DoesNotFit, RecipeError
from zoo.words import human


class Fit(NamedTuple):
    """Whether a build fits this machine: bytes of memory needed and there."""

    needed: int
    memory: int

    @property
    def fits(self) -> bool:
        return self.needed <= self.memory


def fit(recipe: Recipe, build: str) -> Fit:
    """Whether a build fits the memory of this machine, by estimate."""
    return Fit(estimates.memory_bytes(recipe, recipe.build[build]), machine.memory())


def require_fit(recipe: Recipe, build: str) -> None:
    """Refuse a build that is not expected to fit the memory of this machine.

    Raises:
        DoesNotFit: it is not.
    """
    need = fit(recipe, build)
    if not need.fits:
        raise DoesNotFit(
            f"'{recipe.ref}/{build}' needs about {human(need.needed)} of memory, and this machine "
            f"has {human(need.memory)}",
            "choose a smaller build (zoo show), or load it all the same with --force",
            in_python="choose a smaller build (zoo.show), or load it all the same with force=True",
        )


def choose(recipe: Recipe, build: str | None, format: str | None) -> tuple[str, str]:
    """The build to use and why: the one asked for, or the best that is installed and fits here.

    What others add to a recipe is used only when it is asked for.

    Raises:
        NotFound: no such build or format.
    """
    if build is not None or format is not None:
        return recipe.pick(build, format)[0], ""
    own = {name: build for name, build in recipe.build.items() if not build.offered_by}
    builds = [
        (name, build.format, fit(recipe, name).needed)
        for name, build in (own or recipe.build).items()
    ]
    name = best_build(
        builds, rank, lambda f: usable(recipe.family, f), machine.memory(), machine.settings()
    )
    return name, f"{recipe.ref}: build '{name}', chosen for {machine.describe()}"


def require_passes(recipe: Recipe, build: str) -> None:
    """Refuse a build with passes in a format that has none.

    Raises:
        RecipeError: it is one.
    """
    chosen = recipe.build[build]
    if chosen.optimize and not format_of(chosen.format).takes_passes:
        raise RecipeError(
            f"'{recipe.ref}/{build}' lists passes, and the format '{chosen.format}' has none: "
            "remove optimize from the build, or choose another format"
        )
