"""A line of the catalog: a model with the facts that browsing shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.catalogs.facts import BuildFacts, Facts
from zoo.catalogs.layers import Layer
from zoo.errors import NotFound, ZooError
from zoo.words import human

if TYPE_CHECKING:
    from zoo.catalogs.chooser import Chooser
    from zoo.catalogs.recipe import Recipe


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
