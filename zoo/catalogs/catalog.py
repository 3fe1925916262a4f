"""From names to recipes: the shipped catalog, those of plugins, and the user's own.

A reference is `name[:variant[/build]]`, with `catalog/` before it for a catalog that is not the
shipped one. A bare name means one documented variant. A name of the shipped catalog can't be
taken over; a name that only others have is accepted while it is unique.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from zoo import machine, schema
from zoo.catalogs.recipe import NAME, Recipe, read_recipe, read_toml
from zoo.discovery import CATALOGS, Provider, providers
from zoo.errors import (
    AmbiguousName,
    BrokenPlugin,
    NotFound,
    PluginConflict,
    RecipeError,
    UsageError,
    ZooError,
)
from zoo.files.trust import confined
from zoo.words import suggest

SHIPPED, USER = "zoo", "user"
REFERENCE = re.compile(
    rf"(?:(?P<catalog>{NAME})/)?(?P<name>{NAME})(?::(?P<variant>{NAME})(?:/(?P<build>{NAME}))?)?"
)


@dataclass(frozen=True)
class Entry:
    """A model in a catalog: its variants, each a recipe file."""

    default: str = field(metadata={"doc": "the variant that the bare name means"})
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


@dataclass(frozen=True)
class Layer:
    """One catalog file, with the name that qualifies its models."""

    name: str
    path: Path
    models: dict[str, Entry]

    def find(self, name: str) -> str | None:
        """The model that `name` or an alias means here."""
        if name in self.models:
            return name
        return next((m for m, e in self.models.items() if name in e.aliases), None)

    def ref(self, model: str, variant: str) -> str:
        prefix = "" if self.name == SHIPPED else f"{self.name}/"
        return f"{prefix}{model}:{variant}"

    def recipe(self, model: str, variant: str) -> Recipe:
        entry = self.models[model]
        if variant not in entry.variants:
            close = suggest(variant, entry.variants)
            raise NotFound(
                f"'{model}' has no variant '{variant}'{close}",
                f"variants of {model}: {', '.join(entry.variants)}",
            )
        return read_recipe(self.path.parent / entry.variants[variant], self.ref(model, variant))


@dataclass(frozen=True)
class Listing:
    """A line of the catalog: a reference with its recipe, or why it can't be read."""

    ref: str
    default: bool
    recipe: Recipe | None
    problem: str = ""


class Catalog:
    """All layers, and the way from a reference to a recipe."""

    def __init__(self, layers: list[Layer], problems: dict[str, ZooError]) -> None:
        self.layers = layers
        self.problems = problems

    def __iter__(self) -> Iterator[Listing]:
        for layer in self.layers:
            for model, entry in layer.models.items():
                for variant in entry.variants:
                    ref, default = layer.ref(model, variant), variant == entry.default
                    try:
                        yield Listing(ref, default, layer.recipe(model, variant))
                    except ZooError as error:
                        yield Listing(ref, default, None, error.message)

    def search(self, *terms: str) -> list[Listing]:
        """The listings that have every term in name, family, title, summary, task or format."""
        found = []
        for listing in self:
            recipe = listing.recipe
            words = [listing.ref]
            if recipe:
                words += [recipe.family, recipe.title, recipe.summary, recipe.task, recipe.license]
                words += recipe.formats
            text = " ".join(words).lower()
            if all(term.lower() in text for term in terms):
                found.append(listing)
        return found

    def resolve(self, reference: str) -> tuple[Recipe, str | None]:
        """The recipe that a reference means, and the build that it names, if it does.

        Raises:
            UsageError: not a reference at all.
            NotFound: nothing of that name; the message has the nearest.
            AmbiguousName: several catalogs have it; the message lists them.
            RecipeError: the recipe or the catalog it should be in is invalid.
        """
        match = REFERENCE.fullmatch(reference)
        if match is None:
            raise UsageError(
                f"'{reference}' is not a model reference",
                "write name[:variant[/build]], such as mistral:mini/mlx-4bit, or ./folder",
            )
        layer, model = self._find(match["catalog"], match["name"])
        return layer.recipe(model, match["variant"] or layer.models[model].default), match["build"]

    def first_of_family(self, family: str) -> Recipe:
        """A recipe of `family` whose builds serve a checkpoint that has no recipe of its own."""
        families = dict.fromkeys(x.recipe.family for x in self if x.recipe)
        for listing in self:
            if listing.recipe and listing.default and listing.recipe.family == family:
                return listing.recipe
        close = suggest(family, families)
        raise NotFound(
            f"no recipe has the family '{family}'{close}", f"families: {', '.join(families)}"
        )

    def _find(self, catalog: str | None, name: str) -> tuple[Layer, str]:
        if catalog is not None:
            if catalog in self.problems:
                raise self.problems[catalog]
            layers = [layer for layer in self.layers if layer.name == catalog]
            if not layers:
                names = [layer.name for layer in self.layers]
                close = suggest(catalog, names)
                raise NotFound(
                    f"no catalog is called '{catalog}'{close}", f"catalogs: {', '.join(names)}"
                )
        else:
            layers = self.layers
        hits = [(layer, model) for layer in layers if (model := layer.find(name))]
        shipped = [hit for hit in hits if hit[0].name == SHIPPED]
        if len(hits) == 1 or shipped:
            return (shipped or hits)[0]
        if hits:
            candidates = ", ".join(f"{layer.name}/{model}" for layer, model in hits)
            raise AmbiguousName(
                f"'{name}' is ambiguous: it may be {candidates}", "write the full name"
            )
        known = [m for layer in layers for m in layer.models]
        raise NotFound(
            f"no model is called '{name}'{suggest(name, known)}", "zoo list shows all models"
        )


def shipped_catalog() -> Path:
    """Our own catalog: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "catalog.toml"
    return inside if inside.is_file() else package.parent / "catalog.toml"


def open_catalog() -> Catalog:
    """The catalogs of this machine. One that cannot be read affects only itself."""
    layers: list[Layer] = []
    problems: dict[str, ZooError] = {}
    for name, find in _sources().items():
        try:
            layers.append(_read_layer(name, find()))
        except ZooError as error:
            problems[name] = error
    return Catalog(layers, problems)


def _sources() -> dict[str, Callable[[], Path]]:
    found: dict[str, Callable[[], Path]] = {SHIPPED: shipped_catalog}
    for name, claims in providers(CATALOGS).items():
        found.setdefault(name, partial(_locate, claims))
    mine = machine.config_folder() / "catalog.toml"
    with suppress(OSError):  # a name that no file can have
        if mine.is_file():
            found[USER] = lambda: mine
    return found


def _locate(claims: tuple[Provider, ...]) -> Path:
    """The file of a plugin's catalog, found without importing its package."""
    first = claims[0]
    if len(claims) > 1:
        who = " and ".join(map(str, claims))
        raise PluginConflict(f"the catalog '{first.name}' is provided by {who}")
    package, _, file = first.value.partition(":")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations or not confined(file):
        raise BrokenPlugin(
            f"the catalog '{first.name}' of {first} is declared as '{first.value}', "
            "which is not 'package:file.toml'"
        )
    return Path(spec.submodule_search_locations[0]) / file


def _read_layer(name: str, path: Path) -> Layer:
    problems = schema.Problems()
    made: CatalogFile | None = schema.read(CatalogFile, read_toml(path, "catalog"), problems)
    if made is None or problems.found:
        raise RecipeError(f"catalog {path} is invalid:", tuple(problems.found))
    return Layer(name, path, made.models)
