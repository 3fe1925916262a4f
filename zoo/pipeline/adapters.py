"""Which adapters a model is loaded with: those of its recipe, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zoo.catalogs.formats import format_of
from zoo.catalogs.recipe import Recipe
from zoo.catalogs.reference import Reference
from zoo.errors import InputError, NotFound
from zoo.pipeline.folders import require_own_folder
from zoo.tasks.model import AdapterChoice, adapter_weights
from zoo.words import suggest


def with_adapters(
    recipe: Recipe, build: str, adapter: AdapterChoice
) -> tuple[Recipe, AdapterChoice]:
    """The recipe with the user's own adapters among its adapters, and the choice by their names.

    Raises:
        InputError: a weight is no finite number, or the format runs one adapter at a time.
        NotFound: there is no such adapter.
    """
    weights = adapter_weights(adapter)
    format = recipe.build[build].format
    if isinstance(adapter, Mapping) and weights and format_of(format).writes_adapters:
        raise InputError(
            f"the format '{format}' runs one adapter at a time, at its full weight",
            "combine adapters with --format torch or mlx",
            in_python='combine adapters with format="torch" or format="mlx"',
        )
    named = {}
    for given, weight in weights.items():
        recipe, name = _with_adapter(recipe, build, given)
        named[name] = weight
    if isinstance(adapter, Mapping):
        return recipe, named
    return recipe, next(iter(named), None)


def _with_adapter(recipe: Recipe, build: str, adapter: str) -> tuple[Recipe, str]:
    """The recipe with an adapter of the user's own among its adapters, and the adapter's name."""
    if adapter in recipe.adapter:
        return recipe, adapter
    reference = Reference.parse(adapter)
    if reference.kind == "catalog":
        known = ", ".join(recipe.adapter) or "none"
        raise NotFound(
            f"'{recipe.ref}' has no adapter '{adapter}'{suggest(adapter, recipe.adapter)}",
            f"its adapters: {known}; one of your own is a folder, such as ./{adapter}",
        )
    if reference.kind == "folder":
        require_own_folder(Path(reference.name), "adapter")
    from zoo.pipeline.own import adapter_name  # which reads headers with NumPy

    reserved = format_of(recipe.build[build].format).reserved_names
    name = adapter_name(reference, recipe.adapter, reserved)
    return replace(recipe, adapter={**recipe.adapter, name: reference.source}), name
