"""One catalog file, and the lines of the catalog."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import machine
from zoo.catalogs.catalog_file import (
    CatalogFile,
    Entry,
    as_values,
    of_values,
    read_catalog_file,
)
from zoo.catalogs.facts import BuildFacts, Facts
from zoo.catalogs.index import Index, index_path, stamp_of
from zoo.distributions import version
from zoo.errors import NotFound, ZooError
from zoo.words import human, suggest

if TYPE_CHECKING:
    from zoo.catalogs.chooser import Chooser
    from zoo.catalogs.recipe import Recipe

SHIPPED = "zoo"


class Layer:
    """One catalog file, with the name that qualifies its models.

    Attributes:
        complete: adds to a recipe of the layer what others bring for it.
    """

    def __init__(self, name: str, path: Path, file: CatalogFile) -> None:
        self.name, self.path, self._folder = name, path, str(path.parent)
        self.models: dict[str, Entry] = file.models
        self.aliases: dict[str, str] = file.aliases
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
            try:
                return cls(name, path, of_values(kept))
            except (ValueError, TypeError, AttributeError):
                kept = None
        file = read_catalog_file(path)
        if index is not None:
            index.put(str(path), stamp, as_values(file))
        return cls(name, path, file)

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


class Listing:
    """A line of the catalog: a reference with the facts of its recipe, or why it can't be read.

    Attributes:
        ref: the full reference, such as `whisper:tiny`.
        default: whether the bare name means this variant.
        facts: what is known without reading the recipe again; `None` when it is invalid.
        problem: why it is invalid; empty when it is not.
    """

    def __init__(
        self,
        layer: Layer,
        model: str,
        variant: str,
        facts: Facts | None,
        problem: str = "",
        chooser: Chooser | None = None,
    ) -> None:
        self._layer, self._model, self._variant, self._chooser = layer, model, variant, chooser
        self.ref = layer.ref(model, variant)
        self.default = layer.models[model].default == variant
        self.facts, self.problem = facts, problem

    def __repr__(self) -> str:
        if self.facts is None:
            return f"<{self.ref}: invalid recipe>"
        return f"<{self.ref}: {self.task}, {human(self.download_bytes)}, {self.license}>"

    def read(self) -> Recipe:
        """The whole recipe.

        Raises:
            RecipeError: it is invalid.
        """
        return self._layer.recipe(self._model, self._variant)

    @property
    def recipe(self) -> Recipe | None:
        """The whole recipe; `None` when it is invalid."""
        try:
            return self.read() if self.facts else None
        except ZooError:
            return None

    @property
    def name(self) -> str:
        """The shortest name: that of the model for its default variant, else `ref`."""
        return self.ref.partition(":")[0] if self.default else self.ref

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names for it, without those of its model."""
        if not self._layer.aliases:
            return ()
        full = f"{self._model}:{self._variant}"
        return tuple(alias for alias, target in self._layer.aliases.items() if target == full)

    @property
    def known(self) -> Facts:
        """The facts.

        Raises:
            RecipeError: the recipe is invalid.
        """
        if self.facts is None:
            self.read()
            raise NotFound(f"the recipe of '{self.ref}' changed; read the catalog again")
        return self.facts

    @property
    def title(self) -> str:
        return self.known.title

    @property
    def summary(self) -> str:
        return self.known.summary

    @property
    def task(self) -> str:
        return self.known.task

    @property
    def family(self) -> str:
        return self.known.family

    @property
    def license(self) -> str:
        return self.known.license

    @property
    def gated(self) -> bool:
        return self.known.gated

    @property
    def pinned(self) -> bool:
        return self.known.pinned

    @property
    def parameters(self) -> int:
        return self.known.parameters

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.known.languages)

    @property
    def formats(self) -> tuple[str, ...]:
        return self.known.formats

    @property
    def builds(self) -> tuple[BuildFacts, ...]:
        return self.known.builds

    @property
    def build(self) -> BuildFacts:
        """The build that suits this machine, which `zoo.load` chooses."""
        known = self.known
        return known.build(self._chooser.best(known)) if self._chooser else known.builds[0]

    @property
    def download_bytes(self) -> int:
        """Bytes to fetch; an estimate unless `facts.download_exact`."""
        return self.known.download_bytes

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON or a table."""
        known = self.known
        return {
            "ref": self.ref,
            "default": self.default,
            **{k: v for k, v in known._asdict().items() if k != "raw_builds"},
            "context": known.context or None,
            "repo": known.repo or None,
            "languages": list(known.languages),
            "tags": list(known.tags),
            "adapters": list(known.adapters),
            "default_build": self.build.name,
            "builds": [
                {**build._asdict(), "minimum_os": build.minimum_os or None}
                for build in known.builds
            ],
        }
