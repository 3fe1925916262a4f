"""How a decoder is cut for the Neural Engine: layers into packages, matrices into convolutions.

The limits are those that the rules A10, A13 and A4 of `zoo lint` have, with their sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

from zoo.errors import InputError
from zoo.formats.coreml.compress.encoding import FULL, Compression, Scheme
from zoo.formats.coreml.language.neural_engine.manifest import HeadPackage
from zoo.formats.coreml.language.spec import DecoderSpec, bias_of
from zoo.formats.coreml.language.weights import Piece, expected_bits
from zoo.formats.coreml.package.weights import Role
from zoo.words import human

BLOCK = 64
"""Tokens of a prompt that go through the model at once."""

BEGINNINGS = (64, 256)
"""Tokens of a prompt's beginning that go through the model at once, without a look at caches."""

WIDEST = 16_384
"""The longest axis that the Neural Engine takes."""

LARGEST = 1_000_000_000
"""Bytes that the weights of one package take at most."""

ALIGNED = 32
"""What the last axis of a state is a multiple of."""

ROWS = 16
"""Where a matrix is cut, parts have a multiple of so many rows: what palettes share a table."""

TABLE_BITS = 8
"""Bits of the table of embeddings, where it is compressed at all."""

WHOLE = Piece()

Kind = Literal["attention", "ffn"]


@dataclass(frozen=True)
class Half:
    """One half of a layer: what is between two sums of the stream."""

    layer: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.layer}.{self.kind}"


@dataclass(frozen=True)
class Cut:
    """A piece of the matrix `name`, by default all of it."""

    name: str
    piece: Piece = WHOLE


def halves(spec: DecoderSpec) -> list[Half]:
    """All halves of layers, in order."""
    kinds: tuple[Kind, ...] = ("attention", "ffn")
    return [Half(number, kind) for number in range(len(spec.layers)) for kind in kinds]


def state_length(spec: DecoderSpec) -> int:
    """Positions of the caches."""
    return ceil(spec.context / ALIGNED) * ALIGNED


def beginnings(spec: DecoderSpec) -> tuple[int, ...]:
    """How many tokens the functions for the beginning of a prompt take."""
    return tuple(size for size in BEGINNINGS if 2 * size <= state_length(spec))


def table_bytes(spec: DecoderSpec, part: Sequence[Half]) -> int:
    """Bytes of the tables of rotary positions that some halves of layers need."""
    layers = [spec.layers[half.layer] for half in part if half.kind == "attention"]
    kinds = len({spec.is_local(layer) for layer in layers})
    positions = state_length(spec) + sum(beginnings(spec))
    return 2 * positions * spec.head_dim * kinds


def spans(total: int) -> list[tuple[int, int]]:
    """Where to cut an axis, so that no part is longer than `WIDEST`: beginnings and ends."""
    count = ceil(total / WIDEST)
    size = ceil(total / count)
    if count > 1:
        size = min(ceil(size / ROWS) * ROWS, WIDEST)
    return [(start, min(start + size, total)) for start in range(0, total, size)]


def vectors(spec: DecoderSpec, half: Half) -> list[str]:
    """The names of the norms and the biases in a half of a layer."""
    names = spec.names
    own = (
        [names.ffn_norm, names.post_ffn_norm]
        if half.kind == "ffn"
        else [names.attention_norm, *names.qk_norms, names.post_attention_norm]
    )
    norms = [name.format(layer=half.layer) for name in own if name]
    biases = {bias_of(cut.name): None for cut in cuts(spec, half)}
    return [*norms, *(name for name in biases if name in spec.shapes)]


def ffn_cuts(spec: DecoderSpec, layer: int) -> list[tuple[Cut, Cut, Cut]]:
    """Gate, up and down of each part of SwiGLU's width."""
    names = [name.format(layer=layer) for name in spec.names.gate_up]
    down = spec.names.down.format(layer=layer)
    width = spec.layers[layer].ffn_width
    offset = width if len(names) == 1 else 0
    gate, up = names[0], names[-1]
    found = spans(width)
    if len(found) == 1 and not offset:
        return [(Cut(gate), Cut(up), Cut(down))]
    return [
        (
            Cut(gate, Piece(rows=(start, end))),
            Cut(up, Piece(rows=(start + offset, end + offset))),
            Cut(down, Piece(columns=(start, end) if len(found) > 1 else None)),
        )
        for start, end in found
    ]


def cuts(spec: DecoderSpec, half: Half) -> list[Cut]:
    """The matrices of a half of a layer."""
    if half.kind == "ffn":
        return [cut for part in ffn_cuts(spec, half.layer) for cut in part]
    names = [*spec.names.qkv, spec.names.output]
    return [Cut(name.format(layer=half.layer)) for name in names]


def head_cuts(spec: DecoderSpec) -> list[Cut]:
    """The parts of the output head, in the order of the vocabulary."""
    name = spec.names.head or spec.names.embedding
    found = spans(spec.vocabulary)
    return [Cut(name, Piece(rows=span)) for span in found] if len(found) > 1 else [Cut(name)]


def table_scheme(spec: DecoderSpec, compression: Compression) -> Scheme:
    """How the table of embeddings is stored: float16, or integers of 8 bits by row."""
    wanted = compression.scheme("embeddings", spec.names.embedding)
    return Scheme() if wanted.bits == FULL else Scheme("linear", TABLE_BITS)


def cut_bits(spec: DecoderSpec, cut: Cut, compression: Compression, role: Role) -> int:
    """Bits that a piece of a matrix takes on disk."""
    shape = cut.piece.kernel_shape(spec.shapes[cut.name])
    return expected_bits(shape, compression.scheme(role, cut.name))


def half_bits(spec: DecoderSpec, half: Half, compression: Compression) -> int:
    """Bits that a half of a layer takes on disk."""
    matrices = sum(cut_bits(spec, cut, compression, "linear") for cut in cuts(spec, half))
    return matrices + sum(FULL * prod(spec.shapes[name]) for name in vectors(spec, half))


def bits_per_weight(spec: DecoderSpec, compression: Compression) -> float:
    """Bits that each weight takes on disk, with scales and tables.

    An embedding that serves as head too is stored twice: as a table, and as convolutions.
    """
    bits = sum(half_bits(spec, half, compression) for half in halves(spec))
    bits += sum(cut_bits(spec, cut, compression, "head") for cut in head_cuts(spec))
    bits += FULL * spec.width
    bits += expected_bits(spec.shapes[spec.names.embedding], table_scheme(spec, compression))
    return bits / sum(map(prod, spec.shapes.values()))


def packed(sizes: Sequence[int], what: Sequence[object]) -> list[range]:
    """What goes into one package each: as few as possible, and about the same size each.

    Args:
        sizes: bytes of each part, in order.
        what: the parts, for messages.

    Raises:
        InputError: a part is too large by itself.
    """
    for size, part in zip(sizes, what, strict=True):
        if size > LARGEST:
            raise InputError(
                f"{part} takes {human(size)}, and a package for the Neural Engine at most "
                f"{human(LARGEST)}",
                "store its weights in fewer bits",
            )
    low, high = max(sizes), LARGEST
    count = len([*_filled(sizes, LARGEST)])
    while low < high:
        middle = (low + high) // 2
        if len([*_filled(sizes, middle)]) > count:
            low = middle + 1
        else:
            high = middle
    return [*_filled(sizes, low)]


def _filled(sizes: Sequence[int], most: int) -> Iterator[range]:
    start = total = 0
    for number, size in enumerate(sizes):
        if total + size > most and number > start:
            yield range(start, number)
            start, total = number, 0
        total += size
    yield range(start, len(sizes))


def head_packages(groups: Sequence[range]) -> tuple[HeadPackage, ...]:
    """The packages of the head, whose parts are grouped so."""
    return tuple(
        HeadPackage(
            f"head{number}.mlpackage" if len(groups) > 1 else "head.mlpackage",
            tuple(f"logits{part + 1}" for part in group),
        )
        for number, group in enumerate(groups, 1)
    )
