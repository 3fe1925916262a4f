"""From names to recipes: the shipped catalog, those of plugins, and the user's own.

A reference is `name[:variant[/build]]`, with `catalog/` before it for a catalog that is not the
shipped one. A bare name means one documented variant. A name of the shipped catalog can't be
taken over; a name that only others have is accepted while it is unique.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo import machine
from zoo.catalogs import added
from zoo.catalogs.build_files import build_files
from zoo.catalogs.layers import SHIPPED, Layer, Place
from zoo.catalogs.listing import Listing
from zoo.catalogs.listings import Listings
from zoo.catalogs.names import NAME, REFERENCE, USER
from zoo.errors import (
    AmbiguousName,
    BrokenPlugin,
    NotFound,
    PluginConflict,
    UsageError,
    ZooError,
)
from zoo.registry.discovery import CATALOGS, Provider, providers
from zoo.words import suggest

if TYPE_CHECKING:
    from zoo.catalogs.builds import Offers
    from zoo.catalogs.recipe import Recipe

__all__ = ["SHIPPED", "USER", "Catalog", "Layer", "Listing", "open_catalog", "shipped_catalog"]


class Catalog:
    """The models of all catalogs. Iterate over it for one listing per model.

    A listing has the attributes `ref`, `title`, `task`, `license`, `download_bytes`, `builds` and
    others that `zoo list --json` prints.

    Attributes:
        layers: the catalogs that can be read.
        problems: the errors of the others, by name.
    """

    def __init__(self, layers: list[Layer], problems: dict[str, ZooError]) -> None:
        self.layers = layers
        self.problems = problems
        for layer in layers:
            layer.complete = self._completed

    @cached_property
    def offers(self) -> Offers:
        """The builds that plugins and the user add to recipes."""
        from zoo.catalogs.builds import read_offers

        return read_offers(self._full_name)

    @property
    def all_problems(self) -> dict[str, ZooError]:
        """The catalogs and files of builds that cannot be read, by name."""
        return {**self.problems, **(self.offers.problems if self._offered else {})}

    @cached_property
    def _offered(self) -> bool:
        """Whether there are files of builds, so that the code that reads them is needed."""
        return any(True for _ in build_files())

    def _completed(self, recipe: Recipe) -> Recipe:
        return self.offers.added_to(recipe) if self._offered else recipe

    def __iter__(self) -> Iterator[Listing]:
        return iter(Listings(self.layers))

    def __repr__(self) -> str:
        return f"<Catalog of {len(self)} models: {', '.join(layer.name for layer in self.layers)}>"

    def _repr_html_(self) -> str:
        from zoo.display.tables import grid
        from zoo.words import human

        rows = [
            (x.ref, x.facts.label, human(x.download_bytes), x.license, x.summary)
            for x in self
            if x.facts
        ]
        return grid(("name", "task", "download", "license", "summary"), rows)

    def __len__(self) -> int:
        return sum(len(e.variants) for layer in self.layers for e in layer.models.values())

    def search(self, *terms: str) -> list[Listing]:
        """Find the listings that match every term, as `zoo list TERM...` does."""
        from zoo.catalogs.search import matches

        return [listing for listing in self if matches(listing, terms)]

    def find(self, *references: str) -> list[tuple[Listing, str | None]]:
        """Find the listings that references name, each with the build, if it names one.

        Args:
            references: as for `resolve`, which raises the same errors but for invalid recipes.
        """
        listings = Listings(self.layers)
        named = [self._named(reference) for reference in references]
        return [(listings.one(*place), build) for place, build in named]

    def resolve(self, reference: str) -> tuple[Recipe, str | None]:
        """Find the recipe that a reference names, and the build, if it names one.

        Upper case is folded. A repository of the Hub, as `owner/Name`, resolves to its recipe.

        Args:
            reference: `name[:variant[/build]]`.

        Returns: the recipe, and the name of the build or `None`.

        Raises:
            UsageError: the text is not a model reference.
            NotFound: there is no model of that name; the message suggests the closest match.
            AmbiguousName: several catalogs have the model; the message lists them.
            RecipeError: the recipe, or the catalog that it is in, is invalid.
        """
        (layer, model, variant), build = self._named(reference)
        return layer.recipe(model, variant), build

    def _named(self, reference: str) -> tuple[Place, str | None]:
        from zoo.catalogs import resolving

        match = REFERENCE.fullmatch(reference.lower())
        as_on_the_hub = match is None or reference != reference.lower()
        if as_on_the_hub and (listing := resolving.of_repository(self, reference)) is not None:
            return listing.place, None
        if match is None:
            raise UsageError(
                f"'{reference}' is not a model reference",
                "write name[:variant[/build]], such as mistral:mini/mlx-4bit, or ./folder",
            )
        if match["catalog"] is not None and match["catalog"] not in self.names:
            return resolving.without_catalog(self, reference, match["catalog"], match["name"])
        place = self._find(match["catalog"], match["name"], match["variant"])
        return place, match["build"]

    @property
    def names(self) -> set[str]:
        """The names of all catalogs, including those that cannot be read."""
        return {layer.name for layer in self.layers} | set(self.problems)

    @property
    def families(self) -> tuple[str, ...]:
        """The families that have a recipe."""
        return tuple(dict.fromkeys(listing.family for listing in self if listing.facts))

    def first_of_family(self, family: str) -> Recipe:
        """Find the recipe whose builds serve checkpoints of a family that have no recipe.

        Builds that plugins or the user add to this recipe are not included; see `Catalog.offers`.

        Raises:
            NotFound: no recipe is of the family.
        """
        for listing in self:
            if listing.facts and listing.default and listing.family == family:
                recipe = listing.read()
                own = {name: b for name, b in recipe.build.items() if not b.offered_by}
                return replace(recipe, build=own)
        raise NotFound(
            f"no recipe has the family '{family}'{suggest(family, self.families)}",
            f"families: {', '.join(self.families)}",
        )

    def _full_name(self, name: str) -> str:
        """The full reference of a model that a person names, whose recipe is not read."""
        match = REFERENCE.fullmatch(name)
        if match is None or match["build"]:
            raise UsageError(f"'{name}' is not the name of a model", "write name[:variant]")
        layer, model, variant = self._find(match["catalog"], match["name"], match["variant"])
        return layer.ref(model, variant)

    def _find(self, catalog: str | None, name: str, variant: str | None) -> Place:
        if catalog in self.problems:
            raise self.problems[catalog]
        layers = [layer for layer in self.layers if catalog in (None, layer.name)]
        hits = [(layer, *found) for layer in layers if (found := layer.find(name, variant))]
        shipped = [hit for hit in hits if hit[0].name == SHIPPED]
        if len(hits) == 1 or shipped:
            return (shipped or hits)[0]
        if hits:
            candidates = ", ".join(f"{layer.name}/{model}" for layer, model, _ in hits)
            raise AmbiguousName(
                f"'{name}' is ambiguous: it may be {candidates}", "write the full name"
            )
        from zoo.catalogs.resolving import not_found

        error = not_found(layers, name)
        if self.problems:
            faults = "; ".join(f"{name}: {e.message}" for name, e in self.problems.items())
            unread = f"catalogs that cannot be read: {' '.join(faults.split())}"
            error.hint = f"{error.hint}; {unread}"
            error.add_note(unread)
        raise error


def shipped_catalog() -> Path:
    """Our own catalog: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "catalog.toml"
    return inside if inside.is_file() else package.parent / "catalog.toml"


def open_catalog() -> Catalog:
    """The catalogs of this machine. One that cannot be read affects only itself."""
    layers: list[Layer] = []
    problems: dict[str, ZooError] = {}
    files = Layer.index()
    for name, find in _sources().items():
        try:
            layers.append(Layer.read(name, find(), files))
        except ZooError as error:
            problems[name] = error
    files.save()
    return Catalog(layers, problems)


def _sources() -> dict[str, Callable[[], Path]]:
    found: dict[str, Callable[[], Path]] = {SHIPPED: shipped_catalog}
    for name, claims in providers(CATALOGS).items():
        if name in (SHIPPED, USER) or not re.fullmatch(NAME, name):
            found[f"{name} of {claims[0].distribution}"] = partial(_refuse, claims[0])
        else:
            found[name] = partial(_locate, claims)
    for name in added.names():
        found.setdefault(name, partial(_added, name))
    mine = machine.config_folder() / "catalog.toml"
    with suppress(OSError):  # a name that no file can have
        if mine.is_file():
            found[USER] = lambda: mine
    return found


def _added(name: str) -> Path:
    return added.read(name).path


def _refuse(claim: Provider) -> Path:
    why = "is zoo's own" if claim.name in (SHIPPED, USER) else "is not in lower case"
    raise BrokenPlugin(
        f"the catalog '{claim.name}' of {claim} has a name that {why}",
        "give the entry point another name, such as that of the distribution",
    )


def _locate(claims: tuple[Provider, ...]) -> Path:
    """The file of a plugin's catalog, found without importing its package."""
    if len(claims) > 1:
        who = " and ".join(map(str, claims))
        raise PluginConflict(f"the catalog '{claims[0].name}' is provided by {who}")
    return claims[0].file()
