"""A saved program as a graph: operations, their values, producers and consumers.

Large constants are never read: a rule sees their shape and type. Small ones have their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.package.proto import blob
from zoo.formats.coreml.package.reader import Package, stored_bytes

Shape = tuple[int | None, ...]
"""Sizes of the axes; `None` for one that depends on the input."""

SMALL = 1 << 16
"""Most numbers of a constant that a rule may read."""

VIEWS = frozenset(
    (
        "cast",
        "expand_dims",
        "identity",
        "reshape",
        "squeeze",
        "transpose",
        "slice_by_index",
        "split",
    )
)
"""Operations that hand numbers on unchanged, apart from their type."""

DTYPES = {"FLOAT16": "fp16", "FLOAT32": "fp32", "FLOAT64": "fp64", "BOOL": "bool"}


@dataclass(eq=False)
class Value:
    """What an operation computes, or an input of the program."""

    name: str
    dtype: str
    shape: Shape
    producer: Op | None = None
    consumers: list[Op] = field(default_factory=list)
    is_input: bool = False
    is_state: bool = False
    is_output: bool = False

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def half(self) -> bool:
        """Whether it is computed in float16."""
        return self.dtype == "fp16"

    @property
    def constant(self) -> bool:
        """Whether it is known before anything runs."""
        return self.producer is not None and self.producer.constant


@dataclass(eq=False)
class Op:
    """An operation, with the values it reads by argument and the values it computes."""

    kind: str
    name: str
    inputs: dict[str, list[Value]]
    outputs: list[Value]
    raw: Any
    package: Package

    @property
    def constant(self) -> bool:
        return self.kind == "const" or self.kind.startswith("constexpr_")

    @property
    def out(self) -> Value:
        return self.outputs[0]

    def value(self, key: str) -> Value | None:
        """The value of an argument, if it is given."""
        found = self.inputs.get(key)
        return found[0] if found else None

    def array(self, key: str) -> Any:
        """The numbers of a small constant argument as float64, else `None`."""
        given = self.value(key)
        return None if given is None else numbers(given)

    def number(self, key: str) -> float | None:
        """The one number of a constant argument, else `None`."""
        found = self.array(key)
        return float(found.reshape(-1)[0]) if found is not None and found.size == 1 else None

    def integers(self, key: str) -> tuple[int, ...]:
        """The integers of a constant argument; empty where they are not known."""
        found = self.array(key)
        return () if found is None else tuple(int(number) for number in found.reshape(-1))


def numbers(value: Value) -> Any:
    """The numbers of a small constant as float64, else `None`."""
    import numpy as np

    op = value.producer
    if op is None or op.kind != "const" or prod(s or 0 for s in value.shape) > SMALL:
        return None
    try:
        found = op.package.value(op.raw.attributes["val"])
    except (IntegrityError, KeyError, ValueError):
        return None
    if not isinstance(found, np.ndarray):
        return None
    with np.errstate(over="ignore"):
        return found.astype(np.float64)


@dataclass(eq=False)
class Function:
    """One function of a program."""

    name: str
    opset: str
    ops: list[Op]
    inputs: list[Value]
    outputs: list[Value]
    interface: Any
    """The protobuf of its inputs, outputs and states."""

    def of(self, *kinds: str) -> Iterator[Op]:
        """The operations of some kinds, in order."""
        return (op for op in self.ops if op.kind in kinds)

    @property
    def computing(self) -> list[Op]:
        """All operations but constants."""
        return [op for op in self.ops if not op.constant]

    @property
    def states(self) -> list[Value]:
        return [value for value in self.inputs if value.is_state]


@dataclass(eq=False)
class Graph:
    """The functions of a package, and what it stores."""

    package: Package
    functions: list[Function]

    @property
    def spec(self) -> Any:
        return self.package.spec

    @property
    def metadata(self) -> dict[str, str]:
        """What the converter and the author wrote."""
        return dict(self.spec.description.metadata.userDefined)

    def weight_bytes(self) -> int:
        """Bytes of the constants in `weight.bin`, each counted once, by their shapes and types."""
        sizes: dict[tuple[str, int], int] = {}
        for function in self.functions:
            for op in function.ops:
                for value in op.raw.attributes.values():
                    if (where := blob(value)) is not None:
                        tensor = value.type.tensorType
                        name = _data_type(tensor.dataType)
                        count = prod(d.constant.size for d in tensor.dimensions)
                        sizes[where] = stored_bytes(name, count)
        return sum(sizes.values())


def read_graph(package: Package) -> Graph:
    """The graph of an opened package.

    Raises:
        IntegrityError: an operation reads what nothing computes.
    """
    return Graph(package, [_function(package, name) for name in package.functions])


def source(value: Value, through: frozenset[str] = VIEWS) -> Op | None:
    """The operation whose numbers a value holds, past the operations in `through`."""
    seen = 0
    op = value.producer
    while op is not None and op.kind in through and seen < 64:
        given = op.value("x") or next((v[0] for v in op.inputs.values() if v), None)
        op, seen = (given.producer if given is not None else None), seen + 1
    return op


def readers(value: Value, through: frozenset[str] = VIEWS) -> Iterator[tuple[Op, Value]]:
    """Each operation that reads a value, past those in `through`, with the value that it reads."""
    waiting, seen = [value], set()
    while waiting:
        current = waiting.pop()
        for op in current.consumers:
            if op.kind in through and id(op) not in seen:
                seen.add(id(op))
                waiting += op.outputs
            elif op.kind not in through:
                yield op, current


def _function(package: Package, name: str) -> Function:
    interface, block = package.function(name)
    function = package.spec.mlProgram.functions[name]
    states = {feature.name for feature in interface.state}
    values: dict[str, Value] = {}
    inputs = []
    for given in function.inputs:
        value = _value(given.name, given.type)
        value.is_input, value.is_state = True, given.name in states
        values[given.name] = value
        inputs.append(value)
    ops: list[Op] = []
    _read_block(package, block, values, ops)
    outputs = [values[n] for n in block.outputs if n in values]
    for value in outputs:
        value.is_output = True
    return Function(name, function.opset, ops, inputs, outputs, interface)


def _read_block(package: Package, block: Any, values: dict[str, Value], ops: list[Op]) -> None:
    for raw in block.operations:
        for inner in raw.blocks:
            for given in inner.inputs:
                values.setdefault(given.name, _value(given.name, given.type))
        name = _text(raw.attributes["name"]) if "name" in raw.attributes else raw.type
        op = Op(raw.type, name, {}, [], raw, package)
        for key, argument in raw.inputs.items():
            op.inputs[key] = [_bound(package, values, b, op) for b in argument.arguments]
        if op.kind.startswith("constexpr_"):
            for key, held in raw.attributes.items():
                if key != "name":
                    op.inputs.setdefault(key, [_literal(package, held)])
        for made in raw.outputs:
            value = _value(made.name, made.type)
            value.producer = op
            values[made.name] = value
            op.outputs.append(value)
        ops.append(op)
        for inner in raw.blocks:
            _read_block(package, inner, values, ops)


def _bound(package: Package, values: dict[str, Value], binding: Any, reader: Op) -> Value:
    if binding.WhichOneof("binding") != "name":
        return _literal(package, binding.value)
    if binding.name not in values:
        raise IntegrityError(
            f"{package.path} is damaged: '{reader.name}' reads '{binding.name}', "
            "which nothing computes"
        )
    value = values[binding.name]
    value.consumers.append(reader)
    return value


def _literal(package: Package, held: Any) -> Value:
    """A constant that an operation holds itself, as the value of an operation `const`."""
    from coremltools.proto import MIL_pb2

    raw = MIL_pb2.Operation(type="const")
    raw.attributes["val"].CopyFrom(held)
    value = _value("", held.type)
    value.producer = Op("const", "", {}, [value], raw, package)
    return value


def _value(name: str, type: Any) -> Value:
    kind = type.WhichOneof("type")
    if kind == "stateType":
        return _value(name, type.stateType.wrappedType)
    if kind != "tensorType":
        return Value(name, kind or "unknown", ())
    tensor = type.tensorType
    shape = tuple(
        int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
        for d in tensor.dimensions
    )
    return Value(name, _dtype(tensor.dataType), shape)


def _dtype(number: int) -> str:
    name = _data_type(number)
    return DTYPES.get(name, name.lower())


def _data_type(number: int) -> str:
    from coremltools.proto import MIL_pb2

    name: str = MIL_pb2.DataType.Name(number)
    return name


def _text(value: Any) -> str:
    strings = value.immediateValue.tensor.strings.values
    return str(strings[0]) if strings else ""
