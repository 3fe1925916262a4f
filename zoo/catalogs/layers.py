"""One catalog file, with the name that qualifies its models."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo import machine
from zoo.catalogs.index import Index, index_path, stamp_of
from zoo.errors import NotFound
from zoo.registry.distributions import version
from zoo.words import suggest

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe

SHIPPED = "zoo"

Place = tuple["Layer", str, str]
"""A catalog, a model in it, and a variant of the model."""


class Entry(NamedTuple):
    """A model in a catalog.

    Attributes:
        default: the variant that the name alone refers to.
        variants: variant to recipe file.
        aliases: other names.
    """

    default: str
    variants: Mapping[str, str]
    aliases: Sequence[str]


class Layer:
    """One catalog file, with the name that qualifies its models.

    Attributes:
        models: name to model.
        aliases: other names for variants, to `model:variant`.
        complete: adds to a recipe of the layer what others bring for it.
    """

    def __init__(
        self, name: str, path: Path, models: Mapping[str, Entry], aliases: Mapping[str, str]
    ) -> None:
        self.name, self.path, self._folder = name, path, str(path.parent)
        self.models, self.aliases = models, aliases
        self.complete: Callable[[Recipe], Recipe] = lambda recipe: recipe

    @classmethod
    def read(cls, name: str, path: Path, index: Index | None = None) -> Layer:
        """The catalog at `path`, from the index if it did not change.

        Raises:
            RecipeError: the file is not there or invalid, with every fault in it.
        """
        stamp = stamp_of(str(path))
        kept = index.get(str(path), stamp) if index else None
        if kept is not None:
            models, aliases = kept
            return cls(name, path, {n: Entry._make(e) for n, e in models.items()}, aliases)
        from zoo.catalogs.catalog_file import read_catalog_file

        file = read_catalog_file(path)
        made = {n: Entry(e.default, e.variants, e.aliases) for n, e in file.models.items()}
        if index is not None:
            index.put(str(path), stamp, [made, file.aliases])
        return cls(name, path, made, file.aliases)

    @staticmethod
    def index() -> Index:
        """What was read of catalog files before."""
        path = index_path(machine.home(), "catalogs", machine.config_folder())
        return Index(path, f"zoo {version('zoo-ml')}, {stamp_of(__file__)}")

    def find(self, name: str, variant: str | None = None) -> tuple[str, str] | None:
        """The model and the variant that a name means here; `None` when there is no such name."""
        full = f"{name}:{variant}"
        if variant is not None and full in self.aliases:
            name, _, variant = self.aliases[full].partition(":")
        elif variant is None and name in self.aliases:
            name, _, variant = self.aliases[name].partition(":")
        model = name
        if name not in self.models:
            aliased = next((m for m, e in self.models.items() if name in e.aliases), None)
            if aliased is None:
                return None
            model = aliased
        return model, variant or self.models[model].default

    def ref(self, model: str, variant: str) -> str:
        """The reference of a variant, which means it whatever else is installed."""
        prefix = "" if self.name == SHIPPED else f"{self.name}/"
        return f"{prefix}{model}:{variant}"

    def file(self, model: str, variant: str) -> str:
        """The path of the recipe file of a variant."""
        return f"{self._folder}{os.sep}{self.models[model].variants[variant]}"

    def recipe(self, model: str, variant: str) -> Recipe:
        """The recipe of a variant.

        Raises:
            NotFound: there is no such variant, with the nearest.
            RecipeError: the recipe is invalid.
        """
        from zoo.catalogs.recipe import read_recipe

        variants = self.models[model].variants
        if variant not in variants:
            close = suggest(variant, variants)
            raise NotFound(
                f"'{model}' has no variant '{variant}'{close}",
                f"variants of {model}: {', '.join(variants)}",
            )
        recipe = read_recipe(Path(self.file(model, variant)), self.ref(model, variant))
        return self.complete(recipe)
