"""How many bytes a build takes, on disk and in memory, estimated before anything is fetched.

The numbers are those of the format's own description. One that fails, as a stranger's may, counts
as a format without a description.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from zoo.catalogs.formats import STORED_BITS, Format, Weights, format_of
from zoo.catalogs.recipe import Build, Recipe
from zoo.catalogs.source import Source
from zoo.display.interrupt import let_through

Number = TypeVar("Number", int, float)


def bits_per_weight(build: Build) -> float:
    """Bits for each weight: what the recipe says, else an estimate from the passes."""
    if build.bits is not None:
        return build.bits
    return _asked(build, lambda format: format.bits_per_weight(build))


def download_bytes(recipe: Recipe) -> int:
    """Bytes to fetch: source, tokenizer and adapters.

    A source whose files are not all of known size is estimated, at the least from the number of
    weights.
    """
    others = [*recipe.sources[1:], *recipe.adapter.values()]
    return _source_bytes(recipe) + sum(map(_known_bytes, others))


def download_is_exact(recipe: Recipe) -> bool:
    """Whether `download_bytes` is the sum of sizes that are all known, and no estimate."""
    return recipe.weight_bytes is not None or all(
        source.size is not None for source in (*recipe.sources, *recipe.adapter.values())
    )


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
    return Weights(recipe.parameters, recipe.weight_bytes or _source_bytes(recipe))


def _source_bytes(recipe: Recipe) -> int:
    if recipe.source.size is not None:
        return recipe.source.size
    stored = recipe.weight_bytes or recipe.parameters * STORED_BITS // 8
    return max(stored, _known_bytes(recipe.source))


def _known_bytes(source: Source) -> int:
    return sum(file.size or 0 for file in source.files)


def _asked(build: Build, question: Callable[[Format], Number]) -> Number:
    """The answer of a build's format, if it gives a sensible one."""
    try:
        answer = question(format_of(build.format))
    except BaseException as error:  # a stranger's description fails for its own builds alone
        let_through(error)
        return question(Format())
    sensible = isinstance(answer, int | float) and 0 <= answer < float("inf")
    return answer if sensible else question(Format())
