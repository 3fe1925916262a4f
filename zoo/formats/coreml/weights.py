"""Turn the tensors of a checkpoint into the weights of a Core ML program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any, Literal, Protocol

from zoo.formats.coreml.encoding import (
    FULL,
    Scheme,
    encode,
    parts,
    plain_name,
    restored,
    stored_bits,
    to_float16,
)
from zoo.formats.coreml.ledger import Entry, Ledger
from zoo.formats.coreml.streaming import Stream

Role = Literal["linear", "conv", "embeddings", "head"]


class Compression(Protocol):
    """Decides how the weights of a model are stored, by what they are for and by name."""

    def scheme(self, role: Role, name: str) -> Scheme:
        """How a weight is stored."""

    def require_known(self, names: Iterable[str]) -> None:
        """Refuse what is said of weights that are not among `names`."""


class Keep:
    """No compression: float16."""

    def scheme(self, role: Role, name: str) -> Scheme:
        return Scheme()

    def require_known(self, names: Iterable[str]) -> None:
        pass


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
