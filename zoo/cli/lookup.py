"""A model by its name, with no more imports than it takes: for the verbs that only browse."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from zoo import machine
from zoo.errors import NotFound, UsageError

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe
    from zoo.store.store import Artifact


def look_up(name: str, family: str | None = None) -> tuple[Recipe, str | None, dict[str, Artifact]]:
    """The recipe as `zoo.show` has it, the build that is named, and what is built, by build.

    Raises:
        NotFound, AmbiguousName, UsageError, RecipeError: see `zoo.show`.
    """
    recipe, build = _resolve(name, family)
    return recipe, build, _current(name, stored_builds().get(recipe.ref, {}), family)


def look_up_failed(recipe: Recipe, name: str, family: str | None = None) -> dict[str, Artifact]:
    """By build, those of a model that failed their check and would be made the same now."""
    if _is_empty("failed"):
        return {}
    from zoo.cli import facts

    return _current(name, facts.failed_builds().get(recipe.ref, {}), family)


def stored_builds() -> dict[str, dict[str, Artifact]]:
    """Finished builds in the store, which is imported only if there is something."""
    if _is_empty("artifacts"):
        return {}
    from zoo.cli import facts

    return facts.stored_builds()


def _current(name: str, stored: dict[str, Artifact], family: str | None) -> dict[str, Artifact]:
    if not stored:
        return {}
    from zoo.pipeline.installed import installed

    return installed(name, stored, family)


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(machine.home() / folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def _resolve(name: str, family: str | None) -> tuple[Recipe, str | None]:
    from zoo.catalogs.reference import Reference

    if family is None and Reference.parse(name).kind == "catalog":
        from zoo.catalogs.catalog import open_catalog

        try:
            recipe, build = open_catalog().resolve(name)
        except (NotFound, UsageError):
            if not os.path.isdir(name):
                raise
        else:
            if build is not None:
                from zoo.catalogs.formats import require_described

                require_described(recipe.pick(build)[1].format)
            return _pinned(recipe), build
    from zoo import api

    return api.resolve(name, family=family)


def _pinned(recipe: Recipe) -> Recipe:
    path = machine.lock_file()
    if not os.path.lexists(path):
        return recipe
    from zoo.catalogs.pins import Lock

    return Lock(path).pin_recipe(recipe)
