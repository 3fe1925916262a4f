"""Turn the tensors of a checkpoint into the weights of a Core ML program."""

from __future__ import annotations

from collections.abc import Callable
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


class Weights:
    """The weights of a program that is built within a `streaming` context.

    Args:
        stream: the open context.
        shapes: of the tensors.
        read: the tensor of a name, as float32.
        compression: how large weights are stored.
    """

    def __init__(
        self,
        stream: Stream,
        shapes: dict[str, tuple[int, ...]],
        read: Callable[[str], Any],
        compression: Compression,
    ) -> None:
        self.stream, self.shapes, self.read = stream, shapes, read
        self.compression, self.ledger = compression, Ledger()

    def small(self, name: str) -> Any:
        """The tensor `name` as a float16 array, at once: for norms and biases."""
        array = to_float16(self.read(name), name)
        self.ledger.entries[name] = Entry(array.shape, str(Scheme()), array.size * FULL)
        return array

    def large(self, name: str, role: Role = "linear") -> Any:
        """The matrix `name` as a variable of float16, stored as the compression says.

        A matrix that cannot be stored so stays float16, and the ledger says why.
        """
        shape = self.shapes[name]
        scheme = self.compression.scheme(role, name)
        if reason := scheme.obstacle(shape):
            self.ledger.skipped[name] = reason
            scheme = Scheme()
        self.ledger.entries[name] = Entry(shape, str(scheme), stored_bits(scheme, shape))
        plain = plain_name(name)
        made = self.stream.constants(
            plain, parts(scheme, shape), lambda: encode(self.read(name), scheme, name=name)
        )
        return restored(made, plain)


def expected_bits(shape: tuple[int, ...], scheme: Scheme) -> int:
    """Bits that a tensor takes on disk; what cannot be stored so stays float16."""
    if len(shape) == 1 or scheme.obstacle(shape):
        return FULL * prod(shape)
    return stored_bits(scheme, shape)
