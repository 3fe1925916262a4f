"""How many bytes a build takes, on disk and in memory, estimated before anything is fetched.

The numbers are those of the format's own description. One that fails, as a stranger's may, counts
as a format without a description.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from zoo.catalogs.formats import STORED_BITS, Format, Weights, format_of
from zoo.catalogs.recipe import Build, Recipe

Number = TypeVar("Number", int, float)


def bits_per_weight(build: Build) -> float:
    """Bits for each weight: what the recipe says, else an estimate from the passes."""
    if build.bits is not None:
        return build.bits
    return _asked(build, lambda format: format.bits_per_weight(build))


def download_bytes(recipe: Recipe) -> int:
    """Bytes to fetch: the files' own when all are known, else from the number of weights."""
    return recipe.source.size or _weights(recipe).bytes


def build_bytes(recipe: Recipe, build: Build) -> int:
    """Bytes of the finished build."""
    return _asked(build, lambda format: format.disk_bytes(_weights(recipe), build))


def converted_bytes(recipe: Recipe, build: Build) -> int:
    """Bytes that a conversion leaves for the passes to read, until they are pruned."""
    linked = format_of(build.format).links_source and recipe.source.folder is None
    return 0 if linked or not build.optimize else download_bytes(recipe)


def memory_bytes(recipe: Recipe, build: Build) -> int:
    """Bytes of memory to run the build: its weights as they are computed, and a runtime."""
    return _asked(build, lambda format: format.memory_bytes(_weights(recipe), build))


def _weights(recipe: Recipe) -> Weights:
    stored = recipe.weight_bytes or recipe.source.size or recipe.parameters * STORED_BITS // 8
    return Weights(recipe.parameters, stored)


def _asked(build: Build, question: Callable[[Format], Number]) -> Number:
    """The answer of a build's format, if it gives a sensible one."""
    try:
        answer = question(format_of(build.format))
    except Exception:  # a stranger's description fails for its own builds alone
        return question(Format())
    sensible = isinstance(answer, int | float) and 0 <= answer < float("inf")
    return answer if sensible else question(Format())
