"""All lines of all catalogs, each recipe from the index if neither it nor its files changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zoo import machine
from zoo.catalogs.build_files import build_stamps
from zoo.catalogs.chooser import Chooser
from zoo.catalogs.facts import BuildFacts, Facts, facts_of
from zoo.catalogs.index import Index, Stamp, code_here, index_path, installed_here, stamp_of
from zoo.catalogs.layers import Layer, Listing
from zoo.discovery import DESCRIPTIONS, TASKS, providers
from zoo.errors import ZooError
from zoo.preferences import preferences

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe

TYPES: dict[str, type] = {"str": str, "bool": bool, "int": int, "float": float}


def _types(of: Any) -> tuple[type, ...]:
    """The types of the values of a named tuple as JSON has them: what is no scalar is a list."""
    kinds = of.__annotations__.values()
    return tuple(TYPES.get(getattr(kind, "__forward_arg__", kind), list) for kind in kinds)


FACTS, BUILD = _types(Facts), _types(BuildFacts)
FILE, FOLDER = "file", "folder"


class Listings:
    """The lines of some catalogs."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._beside: dict[tuple[str, str], bool] = {}

    def __iter__(self) -> Iterator[Listing]:
        path = index_path(machine.home(), "recipes", machine.config_folder())
        index = Index(
            path, f"{installed_here()} {code_here(_modules)} {build_stamps()} {preferences()}"
        )
        self._chooser = Chooser(index)
        for layer in self.layers:
            for model, entry in layer.models.items():
                for variant in entry.variants:
                    yield self._listing(index, layer, model, variant)
        index.save(whole=True)

    def _listing(self, index: Index, layer: Layer, model: str, variant: str) -> Listing:
        file = str(layer.file(model, variant))
        stamp = stamp_of(file)
        if (facts := self._kept(index, file, stamp)) is not None:
            self._chooser.learn(facts)
            return Listing(layer, model, variant, facts, chooser=self._chooser)
        try:
            recipe = layer.recipe(model, variant)
            facts = facts_of(recipe)
        except ZooError as error:
            return Listing(layer, model, variant, None, error.message)
        index.put(file, stamp, [_beside(recipe), facts])
        self._chooser.learn(facts)
        return Listing(layer, model, variant, facts, chooser=self._chooser)

    def _kept(self, index: Index, file: str, stamp: Stamp | None) -> Facts | None:
        kept = index.get(file, stamp)
        if kept is None:
            return None
        try:
            beside, values = kept
            sound = tuple(map(type, values)) == FACTS and all(
                tuple(map(type, build)) == BUILD for build in values[-1]
            )
            folder = os.path.dirname(file)
            if not sound or not values[-1] or not all(self._there(folder, *x) for x in beside):
                return None
            return Facts._make(
                [tuple(v) if type(v) is list else v for v in values[:-1]]
                + [tuple(map(BuildFacts._make, values[-1]))]
            )
        except (ValueError, TypeError):
            return None

    def _there(self, folder: str, path: str, kind: str) -> bool:
        """Whether a file or folder beside a recipe is still what the recipe needs."""
        where = os.path.join(folder, path), kind
        if where not in self._beside:
            self._beside[where] = _is_there(*where)
        return self._beside[where]


def _beside(recipe: Recipe) -> list[Any]:
    """The files and folders beside a recipe without which it is invalid."""
    files = [[name, FILE] for name in (recipe.check.inputs if recipe.check else ())]
    folders = [source.folder for source in recipe.adapter.values() if source.folder is not None]
    return files + [[folder, FOLDER] for folder in folders]


def _is_there(path: str, kind: str) -> bool:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return False
    if kind == FOLDER:
        return stat.S_ISDIR(found.st_mode)
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def _modules() -> list[str]:
    """The modules that plugins name for the formats and tasks that they describe."""
    return sorted(
        claim.value.partition(":")[0]
        for group in (DESCRIPTIONS, TASKS)
        for claims in providers(group).values()
        for claim in claims
        if not claim.value.startswith("zoo.")
    )
