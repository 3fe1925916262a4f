"""The passes `quantize` and `palettize`: their options, read strictly from a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zoo import schema
from zoo.errors import RecipeError
from zoo.formats.coreml.weights import FULL, Role, Scheme
from zoo.recipe import Build, Recipe

LINEAR_BITS = (4, 8)
PALETTE_BITS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class Quantize:
    """Options of the pass `quantize`: integers with a float16 scale, symmetric about zero."""

    bits: int = field(default=4, metadata={"doc": "4 or 8"})
    block_size: int | None = field(
        default=None,
        metadata={"doc": "weights that share a scale; 0: all of a row. 32 for 4 bits, 0 for 8"},
    )
    embeddings: int | None = field(default=None, metadata={"doc": "4, 8, or 16 to keep them"})
    head: int | None = field(default=None, metadata={"doc": "4, 8, or 16 to keep it"})

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.bits not in LINEAR_BITS:
            yield "bits", f"must be one of {LINEAR_BITS}, not {self.bits}"
        if self.block_size is not None and self.block_size not in (0, 16, 32, 64, 128, 256):
            yield "block_size", f"must be 0, 16, 32, 64, 128 or 256, not {self.block_size}"
        for name in ("embeddings", "head"):
            if getattr(self, name) not in (None, FULL, *LINEAR_BITS):
                yield name, f"must be one of {(*LINEAR_BITS, FULL)}, not {getattr(self, name)}"

    def scheme(self, role: Role) -> Scheme:
        """How a weight of this role is stored."""
        bits = _bits(self, role)
        block = self.block_size if bits == self.bits else None
        return Scheme("linear", bits, (32 if bits == 4 else 0) if block is None else block)


@dataclass(frozen=True)
class Palettize:
    """Options of the pass `palettize`: a table of values, and an index into it for each weight."""

    bits: int = field(default=4, metadata={"doc": "1, 2, 3, 4, 6 or 8"})
    group_size: int = field(
        default=0, metadata={"doc": "rows that share a table; 0: all", "minimum": 0}
    )
    embeddings: int | None = field(default=None, metadata={"doc": "bits, or 16 to keep them"})
    head: int | None = field(default=None, metadata={"doc": "bits, or 16 to keep it"})

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.bits not in PALETTE_BITS:
            yield "bits", f"must be one of {PALETTE_BITS}, not {self.bits}"
        for name in ("embeddings", "head"):
            if getattr(self, name) not in (None, FULL, *PALETTE_BITS):
                yield name, f"must be one of {(*PALETTE_BITS, FULL)}, not {getattr(self, name)}"

    def scheme(self, role: Role) -> Scheme:
        """How a weight of this role is stored."""
        return Scheme("palette", _bits(self, role), self.group_size)


def _bits(options: Quantize | Palettize, role: Role) -> int:
    """A role's own bits; a head without its own goes with the linear layers."""
    own = {"embeddings": options.embeddings, "head": options.head, "linear": None}[role]
    return options.bits if own is None else own


PASSES: dict[str, type[Quantize] | type[Palettize]] = {
    "quantize": Quantize,
    "palettize": Palettize,
}


def read_pass(recipe: Recipe, build: Build) -> Quantize | Palettize:
    """The one pass that the build asks for, with its options.

    Raises:
        RecipeError: there are several, or one that does not exist, or its options are wrong.
    """
    kinds = [step.kind for step in build.optimize]
    if len(kinds) != 1:
        raise RecipeError(f"'{recipe.ref}' asks coreml for {len(kinds)} passes; it makes one")
    if kinds[0] not in PASSES:
        close = schema.suggest(kinds[0], PASSES) or f"; it has {', '.join(PASSES)}"
        raise RecipeError(f"'{recipe.ref}' asks coreml for '{kinds[0]}'{close}")
    problems = schema.Problems()
    options: Quantize | Palettize | None = schema.read(
        PASSES[kinds[0]], build.optimize[0].options, problems
    )
    if options is None or problems.found:
        raise RecipeError(f"'{recipe.ref}' has a wrong pass '{kinds[0]}':", tuple(problems.found))
    return options
