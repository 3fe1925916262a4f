"""What a catalog lacks: recipes that are invalid, and missing facts that users need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zoo.catalogs.layers import Layer
from zoo.catalogs.licenses import license_of
from zoo.catalogs.recipe import Recipe
from zoo.errors import RecipeError, ZooError

INVALID = "invalid"
KINDS = {
    INVALID: "it cannot be read",
    "unpinned": "its source has no commit",
    "unhashed": "a file has no SHA-256",
    "unsized": "a file has no size",
    "unchecked": "it has no check, or a check without limits",
    "license": "its license is not known to zoo",
    "languages": "it names no languages",
}
"""The kinds of gaps, and what each is."""


class Gap(NamedTuple):
    """Something that is wrong or missing."""

    ref: str
    kind: str
    message: str


def gaps_of(name: str, path: Path) -> Iterator[Gap]:
    """Everything that is wrong with the catalog file at `path`, or missing in its recipes."""
    try:
        layer = Layer.read(name, path)
    except RecipeError as error:
        yield Gap(name, INVALID, error.message)
        return
    for model, entry in layer.models.items():
        for variant in entry.variants:
            try:
                recipe = layer.recipe(model, variant)
            except ZooError as error:
                yield Gap(layer.ref(model, variant), INVALID, error.message)
            else:
                yield from _of_recipe(recipe)


def _of_recipe(recipe: Recipe) -> Iterator[Gap]:
    for source in (*recipe.sources, *recipe.adapter.values()):
        where = source.repo or source.folder or "the source"
        if not source.pinned:
            yield Gap(recipe.ref, "unpinned", f"{where} has no commit")
        if bare := [file.path for file in source.files if file.sha256 is None]:
            yield Gap(recipe.ref, "unhashed", f"no SHA-256 of {', '.join(bare)}")
        if bare := [file.path for file in source.files if file.size is None]:
            yield Gap(recipe.ref, "unsized", f"no size of {', '.join(bare)}")
    if recipe.check is None or not any(recipe.limits_of(b) for b in recipe.build.values()):
        yield Gap(recipe.ref, "unchecked", "its builds have no check limits")
    if license_of(recipe.license).commercial == "unknown":
        yield Gap(recipe.ref, "license", f"what '{recipe.license}' allows is not known to zoo")
    if not recipe.languages:
        yield Gap(recipe.ref, "languages", "it names no languages")
