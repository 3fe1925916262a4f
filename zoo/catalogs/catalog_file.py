"""A catalog file: names and aliases resolving to recipe files, as strict data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zoo.catalogs.names import ALIAS, NAME
from zoo.errors import RecipeError
from zoo.files.trust import confined


@dataclass(frozen=True)
class Entry:
    """A model in a catalog: its variants, each a recipe file."""

    default: str = field(metadata={"doc": "the variant that the name alone refers to"})
    variants: dict[str, str] = field(
        metadata={
            "doc": "variant to recipe file",
            "pattern": r"[^\\:]+\.toml",
            "expected": "a .toml",
        }
    )
    aliases: tuple[str, ...] = field(
        default=(),
        metadata={"doc": "other names", "pattern": NAME, "expected": "a lower-case name"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.default not in self.variants:
            yield (
                "default",
                f"'{self.default}' is not among the variants: {', '.join(self.variants)}",
            )
        for variant, path in self.variants.items():
            if not re.fullmatch(NAME, variant):
                yield f"variants.{variant}", "must be a lower-case name"
            if not confined(path):
                yield f"variants.{variant}", f"must stay beside the catalog, not '{path}'"


@dataclass(frozen=True)
class CatalogFile:
    """A catalog: names resolving to recipe files."""

    schema: int = field(metadata={"doc": "version of this format: 1"})
    models: dict[str, Entry] = field(metadata={"doc": "name to model"})
    aliases: dict[str, str] = field(
        default_factory=dict,
        metadata={
            "doc": "other names for variants: 'name' or 'name:variant' to 'model:variant'",
            "pattern": f"{NAME}:{NAME}",
            "expected": "'model:variant'",
        },
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.schema != 1:
            yield "schema", f"this version of zoo reads schema 1, not {self.schema}"
        seen: dict[str, str] = {}
        for name, entry in self.models.items():
            if not re.fullmatch(NAME, name):
                yield f"models.{name}", "must be a lower-case name"
            for each in (name, *entry.aliases):
                if each in seen:
                    yield f"models.{name}", f"'{each}' already names '{seen[each]}'"
                seen[each] = name
        for alias, target in self.aliases.items():
            yield from self._alias_faults(alias, target, seen)

    def _alias_faults(
        self, alias: str, target: str, names: dict[str, str]
    ) -> Iterator[tuple[str, str]]:
        where = f"aliases.{alias}"
        if not ALIAS.fullmatch(alias):
            yield where, "must be 'name' or 'name:variant', in lower case"
        if alias in names:
            yield where, f"'{alias}' already names '{names[alias]}'"
        name, _, variant = alias.partition(":")
        if name in self.models and variant in self.models[name].variants:
            yield where, f"'{alias}' is a variant already"
        model, _, variant = target.partition(":")
        if model not in self.models or variant not in self.models[model].variants:
            yield where, f"there is no '{target}' in this catalog"


def read_catalog_file(path: Path) -> CatalogFile:
    """The catalog in the TOML file at `path`.

    Raises:
        RecipeError: with every fault in the file.
    """
    from zoo import schema
    from zoo.catalogs.recipe import read_toml

    problems = schema.Problems()
    made: CatalogFile | None = schema.read(CatalogFile, read_toml(path, "catalog"), problems)
    if made is None or problems.found:
        raise RecipeError(f"catalog {path} is invalid:", tuple(problems.found))
    return made
