"""The options of a build, which its plugin alone reads."""

from __future__ import annotations

from typing import TypeVar

from zoo import schema
from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import RecipeError

Options = TypeVar("Options")


def read_options(kind: type[Options], recipe: Recipe, build: Build) -> Options:
    """The options of a build as a frozen dataclass of the plugin's own.

    Args:
        kind: a dataclass as those of `zoo.catalogs.recipe`, each field with a `doc`.
        recipe: for what an error says.
        build: whose options they are.

    Raises:
        RecipeError: an option that `kind` does not have, or a wrong value; all of them at once.
    """
    problems = schema.Problems()
    options: Options | None = schema.read(kind, build.options, problems)
    if options is None or problems.found:
        raise RecipeError(
            f"'{recipe.ref}' has wrong options for {build.format}:", tuple(problems.found)
        )
    return options
