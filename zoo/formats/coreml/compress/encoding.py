"""How one weight is stored in a Core ML package: float16, integers or palettes, dense or sparse.

Core ML (iOS 18) computes compressed weights from these operations when it loads a model:
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
`constexpr_blockwise_shift_scale` for integers, `constexpr_lut_to_dense` for palettes, and of sparse
weights `constexpr_sparse_to_dense`, for which the first two have a variant.

A weight has its output channels on axis 0 and its input channels on axis 1, as those of linear
layers and of convolutions have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, Protocol

from zoo.errors import IntegrityError
from zoo.formats.coreml.compress.palette import palettize
from zoo.formats.coreml.package.weights import Role

FULL = 16
CHUNK = 1 << 20
"""Weights that are quantized at once."""

SHRINKS = {8: (1.0,), 4: (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)}
"""Parts of the scale that just holds the largest weight of a group; the best of them is taken.
Where there are few steps, the other weights gain more than the largest loses."""

IN_BLOCKS = 5
"""How many of these are worth trying in a block, which has fewer weights far below its largest."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Scheme:
    """How a weight is stored.

    Attributes:
        kind: `float16`, `linear` (integers with scales) or `palette` (indices into a lookup table).
        bits: bits per weight without scales and tables; 16 is float16 for every kind.
        group: input channels that share a scale, or output channels that share a table; 0 for all.
        sparsity: share of the weights nearest zero that are pruned and not stored.
        zeros_of: [n, m] to prune n of every m weights in a row, instead of a share.
    """

    kind: Literal["float16", "linear", "palette"] = "float16"
    bits: int = FULL
    group: int = 0
    sparsity: float = 0.0
    zeros_of: tuple[int, int] | None = None

    @property
    def sparse(self) -> bool:
        """Whether weights are pruned."""
        return bool(self.sparsity or self.zeros_of)

    def obstacle(self, shape: Shape) -> str | None:
        """Return why a weight of a shape cannot be stored like this, or `None` if it can."""
        axis, what = (1, "input") if self.kind == "linear" else (0, "output")
        if self.bits != FULL and self.group and shape[axis] % self.group:
            return f"its {shape[axis]} {what} channels are not a multiple of {self.group}"
        if self.zeros_of and prod(shape[1:]) % self.zeros_of[1]:
            return f"its rows of {prod(shape[1:])} weights are not a multiple of {self.zeros_of[1]}"
        return None

    def kept(self, shape: Shape) -> int:
        """Return the number of weights that are stored, for a shape."""
        row = prod(shape[1:])
        if self.zeros_of:
            zeros, of = self.zeros_of
            return shape[0] * (row // of * (of - zeros))
        return shape[0] * (row - round(row * self.sparsity))

    def __str__(self) -> str:
        words = {"float16": "float16", "linear": "int", "palette": "palettes of"}[self.kind]
        if self.kind == "float16" or self.bits == FULL:
            said = "float16"
        elif self.kind == "linear":
            said = f"{words}{self.bits}" + (f", blocks of {self.group}" if self.group else "")
        else:
            said = f"{words} {self.bits} bits" + (f", groups of {self.group}" if self.group else "")
        if self.zeros_of:
            said += f", {self.zeros_of[0]} of {self.zeros_of[1]} zero"
        return said + (f", {self.sparsity:.0%} zero" if self.sparsity else "")


def parts(scheme: Scheme, shape: Shape) -> dict[str, Array]:
    """The constants that a weight of this shape is stored as, by argument of their operation."""
    rows, columns, ones = shape[0], shape[1], (1,) * (len(shape) - 2)
    plain = scheme.kind == "float16" or scheme.bits == FULL
    stored: Array | None
    if plain:
        names, stored, more = ("nonzero_data", "mask", ""), Array(shape, "fp16"), {}
    elif scheme.kind == "linear":
        names, stored = ("nonzero_data", "data_mask", "data"), Array(shape, f"int{scheme.bits}")
        groups = columns // scheme.group if scheme.group else 1
        more = {"scale": Array((rows, groups, *ones), "fp16")}
    else:
        names = ("indices_nonzero_data", "indices_mask", "indices")
        stored = Array(shape, f"uint{scheme.bits}")
        tables = rows // scheme.group if scheme.group else 1
        more = {"lut": Array((tables, 1, *ones, 1 << scheme.bits, 1), "fp16")}
    values, mask, dense = names
    if not scheme.sparse:
        return {dense: stored, **more}
    nonzero = Array((scheme.kept(shape),), stored.dtype)
    return {mask: Array(shape, "uint1", scheme.kept(shape)), values: nonzero, **more}


def stored_bits(scheme: Scheme, shape: Shape) -> int:
    """Bits that a weight takes on disk, with scales and tables."""
    return sum(array.bits for array in parts(scheme, shape).values())


def encode(weight: Any, scheme: Scheme, name: str = "weight") -> dict[str, Any]:
    """The arrays that store a weight, in the shapes that `parts` gives.

    Args:
        weight: float32, finite.
        scheme: how to store it; without an `obstacle`.
        name: for messages.

    Returns: data of 4 bits as int8, indices and masks as uint8, the others as float16.

    Raises:
        IntegrityError: a value does not fit float16.
    """
    kept = keep_largest(weight, scheme) if scheme.sparse else None
    if kept is not None:
        weight = weight * kept
    if scheme.kind == "float16" or scheme.bits == FULL:
        made = {"": to_float16(weight, name)}
    elif scheme.kind == "linear":
        made = _integers(weight, scheme, name)
    else:
        made = _palettes(weight, scheme, name, kept)
    if kept is None:
        return made
    dense, *_ = made
    values = made.pop(dense)[kept.astype(bool)]
    prefix = {"": "", "data": "", "indices": "indices_"}[dense]
    mask = {"": "mask", "data": "data_mask", "indices": "indices_mask"}[dense]
    return {mask: kept, f"{prefix}nonzero_data": values, **made}


def keep_largest(weight: Any, scheme: Scheme) -> Any:
    """Which weights to keep: uint8 in the weight's shape, 1 for the largest in magnitude.

    Exactly `scheme.kept(weight.shape)` are kept. https://arxiv.org/abs/1506.02626
    """
    import numpy as np

    sizes = np.abs(weight)
    if scheme.zeros_of:
        zeros, of = scheme.zeros_of
        kept = np.ones(weight.size, np.uint8).reshape(-1, of)
        smallest = np.argpartition(sizes.reshape(-1, of), zeros - 1, axis=1)[:, :zeros]
        np.put_along_axis(kept, smallest, 0, axis=1)
        return kept.reshape(weight.shape)
    count = scheme.kept(weight.shape)
    if not count:
        return np.zeros(weight.shape, np.uint8)
    limit = np.partition(sizes, weight.size - count, axis=None)[weight.size - count]
    kept = (sizes > limit).ravel()
    ties = np.flatnonzero(sizes == limit)
    kept[ties[: count - int(kept.sum())]] = True
    return kept.astype(np.uint8).reshape(weight.shape)


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


def restored(made: Mapping[str, Any], name: str) -> Any:
    """The operation that gives the weight back from its constants, called `name`."""
    from coremltools.converters.mil.mil import Builder as mb

    if "mask" in made:
        return mb.constexpr_sparse_to_dense(**made, name=name)
    if "data_mask" in made or "indices_mask" in made:
        linear = "data_mask" in made
        operation = (
            mb.constexpr_sparse_blockwise_shift_scale if linear else mb.constexpr_lut_to_sparse
        )
        mask, values = operation(**made, name=f"{name}_sparse")
        return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask, name=name)
    if "data" in made:
        return mb.constexpr_blockwise_shift_scale(**made, name=name)
    if "indices" in made:
        return mb.constexpr_lut_to_dense(**made, name=name)
    return made[""]


def plain_name(name: str) -> str:
    """A tensor's name as Core ML writes names."""
    return re.sub(r"\W", "_", name)


def _integers(weight: Any, scheme: Scheme, name: str) -> dict[str, Any]:
    """Symmetric about zero, with the scale of each group that errs least in the mean square."""
    import numpy as np

    stored = parts(Scheme("linear", scheme.bits, scheme.group), weight.shape)
    matrix = weight.reshape(len(weight), -1)
    rows, columns = matrix.shape
    top = (1 << scheme.bits - 1) - 1
    data = np.empty(matrix.shape, np.int8)
    scale = np.empty((rows, stored["scale"].shape[1]), np.float16)
    shrinks = SHRINKS[scheme.bits][: IN_BLOCKS if scheme.group else None]
    step = max(1, CHUNK // columns)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        grouped = matrix[part].reshape(len(matrix[part]), scale.shape[1], -1)
        whole = to_float16(np.abs(grouped).max(-1) / top, name)
        whole[whole == 0] = 1  # nothing but zeros, or what float16 takes for them
        scale[part], steps = _nearest(grouped, whole, top, shrinks)
        data[part] = steps.reshape(-1, columns)
    return {"data": data.reshape(weight.shape), "scale": scale.reshape(stored["scale"].shape)}


def _nearest(grouped: Any, whole: Any, top: int, shrinks: tuple[float, ...]) -> tuple[Any, Any]:
    """The best scale of each group, (rows, groups), and the integers, in the shape of `grouped`."""
    import numpy as np

    best: Any = None
    for shrink in shrinks:
        scale = np.maximum(whole * np.float16(shrink), np.finfo(np.float16).smallest_subnormal)
        wide = scale.astype(np.float32)[..., None]
        steps = np.clip(np.rint(grouped / wide), -top - 1, top)
        if len(shrinks) == 1:
            return scale, steps
        error = np.square(steps * wide - grouped).sum(-1)
        if best is None:
            best = error, scale, steps
            continue
        better = error < best[0]
        for kept, found in zip(best, (error, scale, steps), strict=True):
            kept[better] = found[better]
    return best[1], best[2]


def _palettes(weight: Any, scheme: Scheme, name: str, kept: Any) -> dict[str, Any]:
    """One table for each group of output channels; of sparse weights, for those that are kept."""
    import numpy as np

    stored = parts(Scheme("palette", scheme.bits, scheme.group), weight.shape)
    narrow = to_float16(weight, name).reshape(stored["lut"].shape[0], -1)
    chosen = None if kept is None else kept.reshape(narrow.shape).astype(bool)
    indices = np.zeros(narrow.shape, np.uint8)
    tables = []
    for number, values in enumerate(narrow):
        where = slice(None) if chosen is None else chosen[number]
        if values[where].size:
            table, indices[number, where] = palettize(values[where], scheme.bits)
        else:
            table = np.zeros(1 << scheme.bits, np.float16)
        tables.append(table)
    lut = np.stack(tables).reshape(stored["lut"].shape)
    return {"indices": indices.reshape(weight.shape), "lut": lut}


@dataclass(frozen=True)
class Array:
    """What a constant will be.

    Attributes:
        shape: its shape.
        dtype: its type by coremltools' name, such as `uint4`.
        ones: of a mask, how many entries are 1, as many for each entry of axis 0 on average.
            coremltools counts them before there are any.
    """

    shape: tuple[int, ...]
    dtype: str
    ones: int = 0

    @property
    def bits(self) -> int:
        """Bits that it takes on disk."""
        width = int(self.dtype.removeprefix("u").removeprefix("int").removeprefix("fp"))
        return prod(self.shape) * width


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
