"""The weights of a saved program: which there are, what reads them, and what they are for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from zoo.formats.coreml.package.proto import (
    Origin,
    blob,
    blocks,
    is_constant,
    operations,
    shape_of,
    type_name,
    width,
)
from zoo.formats.coreml.package.reader import Package

Role = Literal["linear", "conv", "embeddings", "head"]
"""What a weight is for; passes can store each kind differently."""

READERS: dict[tuple[str, str], Role] = {
    ("conv", "weight"): "conv",
    ("conv_transpose", "weight"): "conv",
    ("linear", "weight"): "linear",
    ("matmul", "x"): "linear",
    ("matmul", "y"): "linear",
    ("gather", "x"): "embeddings",
}
"""The arguments that are weights of a layer."""

ROLES: tuple[Role, ...] = ("embeddings", "head", "conv", "linear")
"""Of a weight with several, the first of these decides."""


@dataclass(frozen=True)
class Weight:
    """A floating-point constant in `weight.bin`.

    Attributes:
        name: name in the program.
        shape: its shape.
        type_name: protobuf type, such as `FLOAT16`.
        value: the protobuf `Value`.
        role: what it is for; `None` if no layer reads it as a weight.
        axes: axis of the output channels, and axis of the input channels.
        obstacle: why it cannot be compressed, or `None` if it can.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    value: Any
    role: Role | None
    axes: tuple[int, int]
    obstacle: str | None

    @property
    def turned(self) -> tuple[int, ...]:
        """The shape with output channels first and input channels second."""
        others = [n for axis, n in enumerate(self.shape) if axis not in self.axes]
        return self.shape[self.axes[0]], self.shape[self.axes[1]], *others


@dataclass(frozen=True)
class _Use:
    """How one operation reads a constant."""

    kind: str
    role: Role | None = None
    axes: tuple[int, int] = (0, 1)
    rows: int = 0


def weights_of(package: Package) -> dict[Origin, Weight]:
    """Return the floating-point constants of all functions. Shared ones are included once.

    Constants of the same name in several functions are named `name (function)`.
    """
    values: dict[Origin, tuple[str, Any]] = {}
    uses: dict[Origin, list[_Use]] = {}
    names: set[str] = set()
    for function, block in blocks(package):
        readers = _uses(package, block)
        for operation in operations(block):
            value = operation.attributes["val"] if operation.type == "const" else None
            origin = blob(value) if value is not None else None
            if origin is None or type_name(value) not in ("FLOAT16", "FLOAT32"):
                continue
            name = operation.outputs[0].name
            if origin not in values:
                unique = f"{name} ({function})" if name in names else name
                values[origin] = (unique, value)
                names.add(unique)
            uses.setdefault(origin, []).extend(readers.get(name, []))
    return {origin: _weight(*values[origin], uses[origin]) for origin in values}


def compressed_before(block: Any) -> dict[str, tuple[tuple[int, ...], int]]:
    """The shape of each weight that is compressed already, and the bits that it takes on disk."""
    found: dict[str, tuple[tuple[int, ...], int]] = {}
    for operation in operations(block):
        if not operation.type.startswith("constexpr_"):
            continue
        bits = 0
        for argument in operation.inputs.values():
            for binding in argument.arguments:
                if binding.WhichOneof("binding") == "name":
                    bits += found.pop(binding.name, ((), 0))[1]
                else:
                    bits += prod(shape_of(binding.value)) * width(type_name(binding.value))
        found[operation.outputs[0].name] = shape_of(operation.outputs[0]), bits
    return found


def _weight(name: str, value: Any, uses: list[_Use]) -> Weight:
    shape = shape_of(value)
    roles = {use.role for use in uses}
    axes = {use.axes for use in uses}
    others = ", ".join(sorted({use.kind for use in uses if use.role is None}))
    obstacle = None
    if not uses:
        obstacle = "nothing reads it"
    elif others:
        obstacle = f"read by {others}, not by a layer"
    elif len(shape) < 2:
        obstacle = "it has one axis"
    elif len(axes) > 1:
        obstacle = "its readers do not agree on which axis its output channels are"
    if obstacle:
        return Weight(name, shape, type_name(value), value, None, (0, 1), obstacle)
    role = next(known for known in ROLES if known in roles)
    return Weight(name, shape, type_name(value), value, role, axes.pop(), None)


def _uses(package: Package, block: Any) -> dict[str, list[_Use]]:
    """For each name, how operations read it."""
    found: dict[str, list[_Use]] = {}
    makers = {o.outputs[0].name: o for o in operations(block) if o.outputs}
    for operation in operations(block):
        if is_constant(operation):
            continue
        for key, argument in operation.inputs.items():
            for binding in argument.arguments:
                if binding.WhichOneof("binding") != "name" or binding.name not in makers:
                    continue
                maker = makers[binding.name]
                if maker.type == "const":
                    use = _use(package, makers, operation, key, maker)
                    found.setdefault(binding.name, []).append(use)
    for name in block.outputs:
        if name in makers and makers[name].type == "const":
            found.setdefault(name, []).append(_Use("the outputs"))
    return _with_heads(found)


def _use(package: Package, makers: Any, operation: Any, key: str, maker: Any) -> _Use:
    role = READERS.get((operation.type, key))
    if role is None:
        return _Use(operation.type)
    shape = shape_of(maker.outputs[0])
    last = len(shape) - 1
    if operation.type == "conv_transpose":
        axes = 1, 0
    elif operation.type == "matmul":
        turned = bool(_argument(package, makers, operation, f"transpose_{key}"))
        axes = (last - 1, last) if turned == (key == "y") else (last, last - 1)
    elif operation.type == "gather" and _argument(package, makers, operation, "axis"):
        return _Use("gather along another axis")
    else:
        axes = 0, 1
    return _Use(operation.type, role, axes, shape[axes[0]])


def _with_heads(uses: dict[str, list[_Use]]) -> dict[str, list[_Use]]:
    """Linear layers with as many outputs as the largest embedding has entries are heads."""
    entries = max(
        (use.rows for some in uses.values() for use in some if use.role == "embeddings"), default=0
    )
    for some in uses.values():
        for number, use in enumerate(some):
            if use.role == "linear" and use.rows == entries:
                some[number] = replace(use, role="head")
    return uses


def _argument(package: Package, makers: Any, operation: Any, key: str) -> Any:
    """A number that an operation is given; 0 when it is not given."""
    if key not in operation.inputs:
        return 0
    binding = operation.inputs[key].arguments[0]
    named = binding.WhichOneof("binding") == "name"
    value = makers[binding.name].attributes["val"] if named else binding.value
    return package.value(value).reshape(-1)[0]
