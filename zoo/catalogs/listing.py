"""A line of the catalog: a model with the facts that browsing shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from zoo.catalogs.facts import BuildFacts, Facts
from zoo.catalogs.layers import Layer, Place
from zoo.errors import NotFound, ZooError
from zoo.words import human

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe


Value = TypeVar("Value")


class Fact(Generic[Value]):
    """An attribute of a listing that reads a fact of its recipe.

    Args:
        read: takes the fact, or what follows from it, from all of them.

    Raises, when it is read:
        RecipeError: the recipe is invalid.
    """

    def __init__(self, read: Callable[[Facts], Value]) -> None:
        self._read = read

    @overload
    def __get__(self, listing: None, kind: type) -> Self: ...
    @overload
    def __get__(self, listing: Listing, kind: type) -> Value: ...
    def __get__(self, listing: Listing | None, kind: type) -> Self | Value:
        return self if listing is None else self._read(listing.known)


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
        builds: Callable[[], Iterable[Iterable[Any]]] = tuple,
    ) -> None:
        self._layer, self._model, self._variant, self._builds = layer, model, variant, builds
        self.ref = layer.ref(model, variant)
        self.default = layer.models[model].default == variant
        self.facts, self.problem = facts, problem

    def __repr__(self) -> str:
        if self.facts is None:
            return f"<{self.ref}: invalid recipe>"
        return f"<{self.ref}: {self.task}, {human(self.download_bytes)}, {self.license}>"

    @property
    def place(self) -> Place:
        """Where it is: the catalog, the model and the variant."""
        return self._layer, self._model, self._variant

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

    title = Fact(lambda facts: facts.title)
    summary = Fact(lambda facts: facts.summary)
    task = Fact(lambda facts: facts.task)
    family = Fact(lambda facts: facts.family)
    license = Fact(lambda facts: facts.license)
    gated = Fact(lambda facts: facts.gated)
    pinned = Fact(lambda facts: facts.pinned)
    parameters = Fact(lambda facts: facts.parameters)
    languages = Fact(lambda facts: tuple(facts.languages))
    formats = Fact(lambda facts: tuple(facts.formats))
    build = Fact(lambda facts: facts.build)
    """The build that suits this machine, which `zoo.load` chooses."""
    download_bytes = Fact(lambda facts: facts.download_bytes)
    """Bytes to fetch; an estimate unless `facts.download_exact`."""

    @property
    def builds(self) -> tuple[BuildFacts, ...]:
        """The builds, in the order of the recipe.

        Raises:
            RecipeError: the recipe is invalid.
        """
        return tuple(map(BuildFacts._make, self._builds())) if self.known else ()

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON or a table."""
        known = self.known
        return {
            "ref": self.ref,
            "default": self.default,
            **{k: v for k, v in known._asdict().items() if k not in ("words", "chosen")},
            "context": known.context or None,
            "repo": known.repo or None,
            "synonyms": list(known.synonyms),
            "languages": list(known.languages),
            "tags": list(known.tags),
            "adapters": list(known.adapters),
            "formats": list(known.formats),
            "default_build": self.build.name,
            "builds": [
                {**build._asdict(), "minimum_os": build.minimum_os or None} for build in self.builds
            ],
        }
