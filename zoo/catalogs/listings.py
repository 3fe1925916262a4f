"""All lines of all catalogs, each recipe from the index if neither it nor its files changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from zoo import machine
from zoo.catalogs.build_files import build_stamps
from zoo.catalogs.chooser import Chooser
from zoo.catalogs.facts import BuildFacts, Facts, builds_of, facts_of
from zoo.catalogs.index import Index, code_here, index_path, installed_here, stamp_of
from zoo.catalogs.layers import Layer
from zoo.catalogs.listing import Listing
from zoo.errors import ZooError
from zoo.registry.discovery import DESCRIPTIONS, TASKS, providers
from zoo.registry.preferences import preferences

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe

FILE, FOLDER = "file", "folder"
CHOICE = "choice"
"""Where the index keeps what its choices of builds were made for; no recipe has such a path."""


class Listings:
    """The lines of some catalogs."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._beside: dict[str, str] = {}
        path = index_path(machine.home(), "recipes", machine.config_folder())
        self._index = Index(
            path, f"{installed_here()} {code_here(_modules)} {build_stamps()} {preferences()}"
        )
        self._chooser = Chooser()
        self._chosen = self._index.get(CHOICE, []) == self._chooser.state

    def __iter__(self) -> Iterator[Listing]:
        for layer in self.layers:
            for model, entry in layer.models.items():
                for variant in entry.variants:
                    yield self._listing(layer, model, variant)
        if not self._chosen:
            self._index.put(CHOICE, [], self._chooser.state)
        self._index.save(whole=True)

    def one(self, layer: Layer, model: str, variant: str) -> Listing:
        """The line of one variant."""
        found = self._listing(layer, model, variant)
        if self._chosen:
            self._index.save()
        return found

    def _listing(self, layer: Layer, model: str, variant: str) -> Listing:
        index, file = self._index, layer.file(model, variant)
        stamp = stamp_of(file)
        kept = index.get(file, stamp)
        if kept is not None and self._there(file.rpartition(os.sep)[0], kept[0]):
            facts = Facts._make(kept[1])
            if not self._chosen:
                builds = [BuildFacts._make(build) for build in index.details(file)]
                facts = facts._replace(chosen=self._chooser.best(facts.family, builds))
                index.put(file, stamp, [kept[0], facts], builds)
        else:
            try:
                recipe = layer.recipe(model, variant)
                builds = builds_of(recipe)
            except ZooError as error:
                return Listing(layer, model, variant, None, error.message)
            facts = facts_of(recipe, builds, self._chooser.best(recipe.family, builds))
            index.put(file, stamp, [_beside(recipe), facts], builds)
        return Listing(layer, model, variant, facts, builds=partial(index.details, file))

    def _there(self, folder: str, needed: list[tuple[str, str]]) -> bool:
        """Whether the files and folders beside a recipe are still what it needs."""
        for path, kind in needed:
            where = f"{folder}{os.sep}{path}"
            if where not in self._beside:
                self._beside[where] = _kind_of(where)
            if self._beside[where] != kind:
                return False
        return True


def _beside(recipe: Recipe) -> list[Any]:
    """The files and folders beside a recipe without which it is invalid."""
    files = [[name, FILE] for name in (recipe.check.inputs if recipe.check else ())]
    folders = [source.folder for source in recipe.adapter.values() if source.folder is not None]
    return files + [[folder, FOLDER] for folder in folders]


def _kind_of(path: str) -> str:
    """What is at a path: a file with something in it, a folder, or nothing of use."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ""
    if stat.S_ISDIR(found.st_mode):
        return FOLDER
    return FILE if stat.S_ISREG(found.st_mode) and found.st_size > 0 else ""


def _modules() -> list[str]:
    """The modules that plugins name for the formats and tasks that they describe."""
    return sorted(
        claim.value.partition(":")[0]
        for group in (DESCRIPTIONS, TASKS)
        for claims in providers(group).values()
        for claim in claims
        if not claim.value.startswith("zoo.")
    )
