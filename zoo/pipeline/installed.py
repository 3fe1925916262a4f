"""Which builds of a model the store has, as they would be made now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from zoo import machine
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import Recipe
from zoo.errors import PluginError
from zoo.pipeline.keys import Keys
from zoo.pipeline.opening import resolve_recipe
from zoo.store.store import Artifact


def current_keys(ref: str | Recipe, family: str | None = None) -> dict[str, set[str]]:
    """By build, the keys under which a model's artifacts are stored by what is installed now.

    The key of the finished build is among them. A build whose plugin is not installed is left out.
    Nothing is asked of the network.

    Raises:
        NotFound, UsageError, RecipeError: `ref` means nothing any more.
    """
    recipe = ref if isinstance(ref, Recipe) else resolve_recipe(ref, family, measured=False)[0]
    pinned = Lock(machine.lock_file()).pin_recipe(recipe)
    found = {}
    for name in recipe.build:
        keys = Keys(recipe, name, pinned)
        with suppress(PluginError):
            found[name] = {keys.source, keys.converted, keys.finished}
    return found


def installed(
    ref: str | Recipe, stored: Mapping[str, Artifact], family: str | None = None
) -> dict[str, Artifact]:
    """By build, the finished builds of a model that are as they would be made now.

    Args:
        ref: the model, or its recipe as it was written.
        stored: the finished builds of this model in the store, by key.
    """
    if not stored:
        return {}
    keys = current_keys(ref, family)
    return {
        name: stored[key]
        for name, current in keys.items()
        for key in current
        if key in stored and stored[key].manifest.build == name
    }
