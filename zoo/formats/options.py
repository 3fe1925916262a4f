"""Options of builds and of passes, read strictly into a plugin's own dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from zoo import schema
from zoo.catalogs.recipe import Build, Optimization, Recipe
from zoo.errors import RecipeError

Options = TypeVar("Options")


def read_strictly(kind: type[Options], given: Mapping[str, Any], what: str) -> Options:
    """Read options into a frozen dataclass, and report every error at once.

    Args:
        kind: a dataclass such as those of recipes, each field with a `doc` in its metadata. Its
            method `validate`, if it has one, yields (field, message) for errors beyond types.
        given: the options by name.
        what: beginning of the message, such as "'mistral' has wrong options for coreml".

    Raises:
        RecipeError: an option does not exist or its value is invalid; lists all of them.
    """
    problems = schema.Problems()
    options: Options | None = schema.read(kind, given, problems)
    if options is None or problems.found:
        raise RecipeError(f"{what}:", tuple(problems.found))
    return options


def read_options(kind: type[Options], recipe: Recipe, build: Build) -> Options:
    """Read the options of a build into the plugin's own frozen dataclass.

    Args:
        kind: a frozen dataclass; each field has a `doc` in its metadata, and `validate`, if
            defined, yields (field, message) for errors beyond types.
        recipe: the recipe, for messages.
        build: the build.

    Raises:
        RecipeError: an option does not exist or its value is invalid; lists all of them.
    """
    return read_strictly(
        kind, build.options, f"'{recipe.ref}' has wrong options for {build.format}"
    )


def read_pass(kind: type[Options], recipe: Recipe, step: Optimization) -> Options:
    """Read the options of an optimization pass into a frozen dataclass.

    Args:
        kind: as for `read_options`.
        recipe: the recipe, for messages.
        step: one of the passes in the build's `optimize`.

    Raises:
        RecipeError: an option does not exist or its value is invalid; lists all of them.
    """
    return read_strictly(kind, step.options, f"'{recipe.ref}' has a wrong pass '{step.kind}'")
