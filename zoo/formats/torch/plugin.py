"""What all families share in the format `torch`: the source is the build."""

from __future__ import annotations

from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import RecipeError
from zoo.hookspecs import hookimpl


@hookimpl
def optimize(recipe: Recipe, build: Build) -> None:
    raise RecipeError(
        f"'{recipe.ref}' asks to optimize a build in the format 'torch', which is the source itself"
    )
