"""Options of builds and of passes, read strictly into a plugin's own dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from zoo import schema
from zoo.catalogs.recipe import Build, Optimization, Recipe
from zoo.errors import RecipeError

Options = TypeVar("Options")


def read_strictly(kind: type[Options], given: Mapping[str, Any], what: str) -> Options:
    """Options as a frozen dataclass, every fault at once.

    Args:
        kind: a dataclass as those of `zoo.catalogs.recipe`, each field with a `doc`. Its method
            `validate`, if it has one, yields (field, message) for faults that types cannot tell.
        given: the options by name.
        what: what an error begins with, such as "'mistral' has wrong options for coreml".

    Raises:
        RecipeError: an option that `kind` does not have, or a wrong value; all of them.
    """
    problems = schema.Problems()
    options: Options | None = schema.read(kind, given, problems)
    if options is None or problems.found:
        raise RecipeError(f"{what}:", tuple(problems.found))
    return options


def read_options(kind: type[Options], recipe: Recipe, build: Build) -> Options:
    """The options of a build as a frozen dataclass of the plugin's own.

    Args:
        kind: as for `read_strictly`.
        recipe: for what an error says.
        build: whose options they are.

    Raises:
        RecipeError: an option that `kind` does not have, or a wrong value; all of them at once.
    """
    return read_strictly(
        kind, build.options, f"'{recipe.ref}' has wrong options for {build.format}"
    )


def read_pass(kind: type[Options], recipe: Recipe, step: Optimization) -> Options:
    """The options of one pass of a build as a frozen dataclass.

    Args:
        kind: as for `read_strictly`.
        recipe: for what an error says.
        step: one of the build's `optimize`.

    Raises:
        RecipeError: an option that `kind` does not have, or a wrong value; all of them at once.
    """
    return read_strictly(kind, step.options, f"'{recipe.ref}' has a wrong pass '{step.kind}'")
