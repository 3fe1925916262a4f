"""How weights are stored in a Core ML package, and what it costs: float16, integers or palettes.

Core ML (iOS 18) computes compressed weights from these operations when it loads a model:
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
`constexpr_blockwise_shift_scale` for integers, `constexpr_lut_to_dense` for palettes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, Protocol

from zoo.errors import IntegrityError
from zoo.formats.coreml.palette import palettize
from zoo.formats.coreml.streaming import Array, Stream

FULL = 16
CHUNK = 1 << 22
"""Weights that are quantized at once."""

Role = Literal["linear", "embeddings", "head"]


@dataclass(frozen=True)
class Scheme:
    """How one weight is stored.

    Attributes:
        kind: what it consists of.
        bits: of each weight, without scales and tables; 16 is float16 whatever the kind.
        group: what shares a scale (weights of a row; 0: the row) or a table (rows; 0: all).
    """

    kind: Literal["float16", "linear", "palette"]
    bits: int
    group: int

    def obstacle(self, shape: tuple[int, ...]) -> str | None:
        """Why a weight of this shape cannot be stored so, or `None` when it can."""
        if self.bits == FULL or not self.group:
            return None
        size, what = (shape[1], "width") if self.kind == "linear" else (shape[0], "height")
        if size % self.group:
            return f"its {what} {size} is no multiple of {self.group}"
        return None


class Compression(Protocol):
    """Decides how the weights of a model are stored, by what they are for."""

    def scheme(self, role: Role) -> Scheme:
        """How a weight of this role is stored."""


@dataclass(frozen=True)
class Keep:
    """No compression: float16."""

    def scheme(self, role: Role) -> Scheme:
        """How a weight of this role is stored."""
        return Scheme("float16", FULL, 0)


@dataclass
class Ledger:
    """What the weights of a package take on disk."""

    weights: int = 0
    bits: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def bits_per_weight(self) -> float:
        """Bits on disk for each weight, with scales and tables."""
        return self.bits / max(self.weights, 1)


class Weights:
    """Turns tensors into the weights of a program that is built within a `streaming` context.

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
        self._counted: set[str] = set()

    def small(self, name: str) -> Any:
        """The tensor `name` as a float16 array, at once: for norms and biases."""
        array = to_float16(self.read(name), name)
        self._count(name, array.size * FULL)
        return array

    def large(self, name: str, role: Role = "linear") -> Any:
        """The matrix `name` as a variable of float16, stored as the compression says.

        A matrix that does not divide into its groups stays float16, and the ledger says why.
        """
        shape = self.shapes[name]
        scheme = self.compression.scheme(role)
        if reason := scheme.obstacle(shape):
            self.ledger.skipped[name] = reason
            scheme = Keep().scheme(role)
        parts = _parts(scheme, shape)
        self._count(name, sum(array.bits for array in parts.values()))
        plain = plain_name(name)
        made = self.stream.constants(
            plain, parts, lambda: encode(self.read(name), scheme, name=name)
        )
        return _decoded(made, plain)

    def _count(self, name: str, bits: int) -> None:
        if name in self._counted:
            return
        self._counted.add(name)
        self.ledger.weights += prod(self.shapes[name])
        self.ledger.bits += bits


def stored_bits(shape: tuple[int, ...], scheme: Scheme) -> int:
    """Bits that a matrix takes on disk; one that does not divide into groups stays float16."""
    if scheme.obstacle(shape):
        scheme = Keep().scheme("linear")
    return sum(array.bits for array in _parts(scheme, shape).values())


def plain_name(name: str) -> str:
    """A tensor's name as Core ML writes names."""
    return re.sub(r"\W", "_", name)


def encode(weight: Any, scheme: Scheme, name: str = "weight") -> dict[str, Any]:
    """The arrays that store a matrix.

    Args:
        weight: float32, of shape (rows, columns), finite.
        scheme: how to store it.
        name: for messages.

    Returns:
        float16: `{"": weight}`.
        linear: `data`, int8 in the weight's shape (4 bits are within -8 and 7), and `scale`,
            float16 of shape (rows, groups).
        palette: `indices`, uint8 in the weight's shape, and `lut`, float16 of shape
            (groups, 1, 2**bits, 1).

    Raises:
        IntegrityError: a value does not fit float16.
    """
    if scheme.bits == FULL:
        return {"": to_float16(weight, name)}
    if scheme.kind == "linear":
        return _encode_linear(weight, scheme, name)
    return _encode_palette(weight, scheme, name)


def decode(arrays: dict[str, Any]) -> Any:
    """The float32 matrix that Core ML computes from `encode`'s arrays."""
    import numpy as np

    if "data" in arrays:
        data, scale = arrays["data"], arrays["scale"].astype(np.float32)
        return data * np.repeat(scale, data.shape[1] // scale.shape[1], axis=1)
    if "lut" in arrays:
        indices, tables = arrays["indices"], arrays["lut"].astype(np.float32)[:, 0, :, 0]
        rows = np.repeat(np.arange(len(tables)), len(indices) // len(tables))
        return tables[rows[:, None], indices]
    return arrays[""].astype(np.float32)


def to_float16(array: Any, name: str) -> Any:
    """The array in float16.

    Raises:
        IntegrityError: a value is beyond what float16 can hold.
    """
    import numpy as np

    largest = max(float(array.max(initial=0)), -float(array.min(initial=0)))
    if not largest <= float(np.finfo(np.float16).max):
        raise IntegrityError(f"'{name}' holds {largest:g}, which does not fit float16")
    return array.astype(np.float16)


def _parts(scheme: Scheme, shape: tuple[int, ...]) -> dict[str, Array]:
    rows, columns = shape
    if scheme.bits == FULL:
        return {"": Array(shape, "fp16")}
    if scheme.kind == "linear":
        groups = columns // scheme.group if scheme.group else 1
        scales = Array((rows, groups), "fp16")
        return {"data": Array(shape, f"int{scheme.bits}"), "scale": scales}
    tables = Array((rows // (scheme.group or rows), 1, 1 << scheme.bits, 1), "fp16")
    return {"indices": Array(shape, f"uint{scheme.bits}"), "lut": tables}


def _decoded(made: dict[str, Any], name: str) -> Any:
    """The operation that gives the matrix back from its stored parts."""
    from coremltools.converters.mil.mil import Builder as mb

    if "data" in made:
        return mb.constexpr_blockwise_shift_scale(**made, name=name)
    if "lut" in made:
        return mb.constexpr_lut_to_dense(**made, name=name)
    return made[""]


def _encode_linear(weight: Any, scheme: Scheme, name: str) -> dict[str, Any]:
    import numpy as np

    rows, columns = weight.shape
    top = (1 << scheme.bits - 1) - 1
    data = np.empty(weight.shape, np.int8)
    scale = np.empty((rows, columns // (scheme.group or columns)), np.float16)
    step = max(1, CHUNK // columns)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        grouped = weight[part].reshape(len(weight[part]), -1, scheme.group or columns)
        scale[part] = to_float16(np.abs(grouped).max(-1) / top, name)
        scale[part][scale[part] == 0] = 1  # nothing but zeros, or what float16 takes for them
        steps = np.rint(grouped / scale[part].astype(np.float32)[..., None])
        data[part] = np.clip(steps, -top - 1, top).reshape(-1, columns)
    return {"data": data, "scale": scale}


def _encode_palette(weight: Any, scheme: Scheme, name: str) -> dict[str, Any]:
    import numpy as np

    narrow = to_float16(weight, name)
    groups = [
        palettize(rows, scheme.bits)
        for rows in np.split(narrow, len(narrow) // (scheme.group or len(narrow)))
    ]
    tables = np.stack([palette for palette, _ in groups])[:, None, :, None]
    return {"indices": np.concatenate([indices for _, indices in groups]), "lut": tables}
