"""Options of Core AI builds and of their passes, as data: no runtime is needed to read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

LINEAR_BITS = (4, 8)
PALETTE_BITS = (1, 2, 3, 4, 6, 8)
KEPT = 16
"""Bits of a weight that a pass leaves as it is."""


@dataclass(frozen=True)
class BuildOptions:
    """Options of every build in the format `coreai`."""

    precision: Literal["float16", "float32"] = field(
        default="float16",
        metadata={
            "doc": "type of weights and activations; on Linux the runtime is far quicker in float32"
        },
    )


@dataclass(frozen=True)
class DecoderOptions(BuildOptions):
    """Options of a language model's build."""

    context: int = field(
        default=2048, metadata={"doc": "tokens that the state holds", "minimum": 16}
    )


@dataclass(frozen=True)
class DiffusionOptions(BuildOptions):
    """Options of the build of a model that generates pictures."""

    width: int | None = field(
        default=None,
        metadata={"doc": "of a picture, in pixels; else what the model was trained on"},
    )
    height: int | None = field(default=None, metadata={"doc": "likewise"})


@dataclass(frozen=True)
class Pass:
    """What both passes have in common.

    An embedding is a weight that rows are looked up in; a head is a matrix, not looked up in, with
    an axis as long as an embedding. Both get 8 bits, a scale for each row.
    """

    embeddings: Literal[8, 16] = field(
        default=8, metadata={"doc": "bits of embeddings; 16 leaves them"}
    )
    head: Literal[8, 16] = field(
        default=8, metadata={"doc": "bits of the output layer; 16 leaves it"}
    )
    keep: tuple[str, ...] = field(
        default=(),
        metadata={"doc": "programs that the pass leaves as they are, such as 'vae_*'"},
    )


@dataclass(frozen=True)
class Quantize(Pass):
    """Options of the pass `quantize`: whole numbers with a scale for each block."""

    bits: int = field(default=4, metadata={"doc": "4 or 8"})
    block_size: int = field(
        default=32, metadata={"doc": "weights of a row that share a scale; 0: all of the row"}
    )
    convolutions: Literal[0, 8, 16] = field(
        default=8,
        metadata={"doc": "bits of convolutions over an area; 0: as all others; 16 leaves them"},
    )
    """A block of 32 channels has all places of the kernel: 288 weights of 3x3, for one scale."""

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.bits not in LINEAR_BITS:
            yield "bits", f"must be one of {LINEAR_BITS}, not {self.bits}"
        if self.block_size < 0:
            yield "block_size", f"must be 0 or more, not {self.block_size}"

    @property
    def bits_per_weight(self) -> float:
        """Bits of each weight of a large matrix, its share of the scale included."""
        return self.bits + (16 / self.block_size if self.block_size else 0)


@dataclass(frozen=True)
class Palettize(Pass):
    """Options of the pass `palettize`: indices into a table, by k-means."""

    bits: int = field(default=4, metadata={"doc": "1, 2, 3, 4, 6 or 8"})
    group_size: int = field(
        default=32, metadata={"doc": "rows that share a table; 0: all of the matrix"}
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.bits not in PALETTE_BITS:
            yield "bits", f"must be one of {PALETTE_BITS}, not {self.bits}"
        if self.group_size < 0:
            yield "group_size", f"must be 0 or more, not {self.group_size}"

    @property
    def bits_per_weight(self) -> float:
        """Bits of each weight of a large matrix, without its tables."""
        return float(self.bits)


PASSES: dict[str, type[Quantize | Palettize]] = {"quantize": Quantize, "palettize": Palettize}


def given_bits(kind: str, options: dict[str, Any]) -> float | None:
    """Bits of each weight by what a pass is given, right or wrong; `None` for an unknown pass."""
    if kind not in PASSES:
        return None

    def number(name: str, default: int) -> int:
        value = options.get(name, default)
        return value if isinstance(value, int) else default

    if kind == "quantize":
        return Quantize(bits=number("bits", 4), block_size=number("block_size", 32)).bits_per_weight
    return Palettize(bits=number("bits", 4)).bits_per_weight
