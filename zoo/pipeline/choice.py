"""Which build to use on this machine, when none is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from zoo import machine
from zoo.catalogs import estimates
from zoo.catalogs.formats import format_of
from zoo.catalogs.recipe import Recipe
from zoo.discovery import FAMILIES, providers


@dataclass(frozen=True)
class Fit:
    """Whether a build fits this machine: bytes of memory needed and there."""

    needed: int
    memory: int

    @property
    def fits(self) -> bool:
        return self.needed <= self.memory


def fit(recipe: Recipe, build: str) -> Fit:
    """Whether a build fits the memory of this machine, by estimate."""
    return Fit(estimates.memory_bytes(recipe, recipe.build[build]), machine.memory())


def choose(recipe: Recipe, build: str | None, format: str | None) -> tuple[str, str]:
    """The build to use and why: the one asked for, or the best that is installed and fits here.

    Raises:
        NotFound: no such build or format.
    """
    if build is not None or format is not None:
        return recipe.pick(build, format)[0], ""
    ranked = sorted(recipe.formats, key=_rank)
    usable = [f for f in ranked if _installed(recipe.family, f)] or ranked[:1]
    names = [name for f in usable for name, b in recipe.build.items() if b.format == f]
    name = next((name for name in names if fit(recipe, name).fits), names[0])
    return name, f"{recipe.ref}: build '{name}', chosen for {machine.describe()}"


def _rank(format: str) -> int:
    """Where a format stands on this machine; the lowest is the best."""
    described = format_of(format)
    return described.apple_rank if machine.apple_silicon() else described.rank


def _installed(family: str, format: str) -> bool:
    claims = providers(FAMILIES).get(f"{family}.{format}", ())
    return len(claims) == 1 and not claims[0].missing()
