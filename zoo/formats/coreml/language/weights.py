"""Turn the tensors of a checkpoint into the weights of a Core ML program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from zoo.formats.coreml.compress.encoding import (
    FULL,
    Compression,
    Scheme,
    encode,
    parts,
    plain_name,
    restored,
    stored_bits,
    to_float16,
)
from zoo.formats.coreml.compress.ledger import Entry, Ledger
from zoo.formats.coreml.convert.streaming import Stream
from zoo.formats.coreml.package.weights import Role
from zoo.formats.tensors import Tensors


@dataclass(frozen=True)
class Piece:
    """A part of a matrix: rows and columns from the first up to the second; `None` for all."""

    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None

    def kernel_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """The shape of the part as the kernel of a 1x1 convolution."""
        (top, bottom), (left, right) = self.of(shape)
        return bottom - top, right - left, 1, 1

    def of(self, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
        """The rows and the columns, of a matrix of this shape."""
        return self.rows or (0, shape[0]), self.columns or (0, shape[1])

    def __str__(self) -> str:
        """What to append to the matrix's name; nothing for a whole one."""
        parts = [("rows", self.rows), ("columns", self.columns)]
        return "".join(f"_{what}_{span[0]}" for what, span in parts if span)


class Weights:
    """The weights of a program that is built within a `streaming` context.

    Args:
        stream: the open context.
        source: the checkpoint.
        compression: how large weights are stored.
        ledger: where to write down what each takes; that of an earlier program, for one model in
            several.
    """

    def __init__(
        self,
        stream: Stream,
        source: Tensors,
        compression: Compression,
        ledger: Ledger | None = None,
    ) -> None:
        self.stream, self.source, self.shapes = stream, source, source.shapes
        self.compression, self.ledger = compression, ledger or Ledger()
        self._counted: set[str] = set()

    def small(self, name: str, plus: float = 0.0) -> Any:
        """The tensor `name` and a number as a float16 array, at once: for norms and biases."""
        array = to_float16(self.source.read(name) + plus, name)
        self.ledger.entries[name] = Entry(array.shape, str(Scheme()), array.size * FULL)
        return array

    def large(self, name: str, role: Role = "linear") -> Any:
        """The matrix `name` as a variable of float16, stored as the compression says.

        A matrix that cannot be stored so stays float16, and the ledger says why.
        """
        shape = self.shapes[name]
        return self._made(name, plain_name(name), shape, role, lambda: self.source.read(name))

    def kernel(self, name: str, piece: Piece, role: Role = "linear") -> Any:
        """A piece of the matrix `name` as the kernel of a 1x1 convolution, as `large`."""
        shape = piece.kernel_shape(self.shapes[name])
        (top, bottom), (left, right) = piece.of(self.shapes[name])

        def read() -> Any:
            return self.source.read_rows(name, top, bottom)[:, left:right].reshape(shape)

        return self._made(name, plain_name(name) + str(piece), shape, role, read)

    def _made(
        self, name: str, plain: str, shape: tuple[int, ...], role: Role, read: Callable[[], Any]
    ) -> Any:
        scheme = self.compression.scheme(role, name)
        if reason := scheme.obstacle(shape):
            self.ledger.skipped[name] = reason
            scheme = Scheme()
        if plain not in self._counted:
            self._counted.add(plain)
            self.ledger.add(name, Entry(self.shapes[name], str(scheme), stored_bits(scheme, shape)))
        made = self.stream.constants(
            plain, parts(scheme, shape), lambda: encode(read(), scheme, name=name)
        )
        return restored(made, plain)


def expected_bits(shape: tuple[int, ...], scheme: Scheme) -> int:
    """Bits that a tensor takes on disk; what cannot be stored so stays float16."""
    if len(shape) == 1 or scheme.obstacle(shape):
        return FULL * prod(shape)
    return stored_bits(scheme, shape)
