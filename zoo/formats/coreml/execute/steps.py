"""Read the block of an ML program as steps: what each computes, with its constants at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.execute.aliases import Operation
from zoo.formats.coreml.execute.constants import Constants, to_tensor
from zoo.formats.coreml.package.proto import Name, arguments_of, is_constant
from zoo.formats.coreml.package.reader import Package

MOVING = {
    "concat", "expand_dims", "gather", "gather_along_axis", "identity", "relu", "reshape", "select",
    "slice_by_index", "slice_by_size", "slice_update", "split", "squeeze", "stack", "tile",
    "transpose",
}  # fmt: skip
"""Operations whose results are numbers that they were given, and so are rounded already."""

TYPES = {
    "BOOL": "bool", "INT8": "int8", "INT16": "int16", "INT32": "int32", "UINT8": "uint8",
    "UINT16": "int32", "FLOAT16": "float32", "FLOAT32": "float32",
}  # fmt: skip
"""The PyTorch type that each type of MIL is computed in."""

Convert = Callable[[Any], Any] | None


@dataclass(frozen=True)
class Call:
    """An operation that computes.

    Attributes:
        kind: its type.
        kernel: what computes it.
        fixed: arguments that are constants.
        late: other arguments, names or lists with names in them, each with what converts it.
        outputs: name and MIL type of each result.
    """

    kind: str
    kernel: Callable[..., Any]
    fixed: Mapping[str, Any]
    late: Mapping[str, tuple[Any, Convert]]
    outputs: list[tuple[str, str]]

    @property
    def reads(self) -> list[str]:
        """The names of the results that it needs."""
        entries = [e for v, _ in self.late.values() for e in (v if isinstance(v, list) else [v])]
        return [entry.name for entry in entries if isinstance(entry, Name)]

    @property
    def described(self) -> Operation:
        """What decides whether a state may be updated in place."""
        source, _ = self.late.get("x", (None, None))
        made = [name for name, _ in self.outputs]
        return Operation(self.kind, getattr(source, "name", None), made, None)


@dataclass(frozen=True)
class ReadState:
    """The value of a state, under a name of its own."""

    state: str
    outputs: list[tuple[str, str]]

    kind = "read_state"
    reads: tuple[str, ...] = ()

    @property
    def described(self) -> Operation:
        """What decides whether a state may be updated in place."""
        return Operation(self.kind, None, [name for name, _ in self.outputs], self.state)


@dataclass(frozen=True)
class WriteState:
    """A result, or a constant, that becomes the value of a state."""

    state: str
    source: Any

    kind = "write_state"
    outputs: tuple[tuple[str, str], ...] = ()

    @property
    def reads(self) -> list[str]:
        """The name of the result that is kept."""
        return [self.source.name] if isinstance(self.source, Name) else []

    @property
    def described(self) -> Operation:
        """What decides whether a state may be updated in place."""
        return Operation(self.kind, getattr(self.source, "name", None), [], self.state)


Step = Call | ReadState | WriteState


def read_steps(constants: Constants, block: Any) -> list[Step]:
    """The steps of a block, in order.

    Args:
        constants: those of its package.
        block: the protobuf of the block.

    Raises:
        IntegrityError: the package is damaged, or has an operation, or a way of using one, that
            the executor does not know.
    """
    from zoo.formats.coreml.execute.kernels import KERNELS

    package = constants.package
    require_known(package, block)
    held = constants.of(block)
    return [
        _step(package, operation, KERNELS, held)
        for operation in block.operations
        if not is_constant(operation)
    ]


def require_known(package: Package, block: Any) -> None:
    """Check that the executor knows the operations of a block, without reading constants.

    Raises:
        IntegrityError: an operation, or an argument of one, that it does not know.
    """
    from zoo.formats.coreml.execute.kernels import KERNELS

    for operation in block.operations:
        if is_constant(operation) and not operation.outputs:
            raise IntegrityError(f"a constant of {package.path} has no name")
        if not is_constant(operation) and operation.type not in ("read_state", "write_state"):
            _require_known(package, operation, KERNELS)


def title(kind: str, outputs: Any) -> str:
    """How an operation is called in a message."""
    names = [output.name if hasattr(output, "name") else output[0] for output in outputs]
    return f"the operation {quoted(kind)}" + (f" ({quoted(names[0])})" if names else "")


def quoted(name: str) -> str:
    """A name of a package, which may hold anything, in quotation marks."""
    return f"'{name}'" if name.isprintable() else repr(name)


def require_defined(
    package: Package, steps: list[Step], inputs: set[str], states: set[str], outputs: list[str]
) -> None:
    """Check that all that is read is there by then.

    Raises:
        IntegrityError: an operation, or the function itself, uses what nothing computes.
    """
    known = set(inputs)
    for step in steps:
        for name in step.reads:
            if name not in known:
                raise IntegrityError(
                    f"{title(step.kind, step.outputs)} of {package.path} uses {quoted(name)}, "
                    "which nothing before it computes"
                )
        if not isinstance(step, Call) and step.state not in states:
            raise IntegrityError(
                f"{title(step.kind, step.outputs)} of {package.path} uses the state "
                f"{quoted(step.state)}, which the package does not have"
            )
        known.update(name for name, _ in step.outputs)
    for name in outputs:
        if name not in known:
            raise IntegrityError(
                f"{package.path} declares the output {quoted(name)}, which nothing computes"
            )


def _require_known(package: Package, operation: Any, known: Mapping[str, Any]) -> None:
    from zoo.formats.coreml.execute.kernels.arguments import forms, required

    kind = operation.type
    if kind not in known or operation.blocks:
        raise IntegrityError(
            f"the operation {quoted(kind)} of {package.path} is not known to the reference "
            "executor",
            "on a Mac, Core ML runs it",
        )
    for key in operation.inputs.keys() - forms(known[kind]).keys():
        raise IntegrityError(
            f"the argument {quoted(key)} of the operation '{kind}' in {package.path} is not known "
            "to the reference executor",
            "on a Mac, Core ML runs it",
        )
    for key in sorted(required(known[kind]) - operation.inputs.keys()):
        raise IntegrityError(
            f"{title(kind, operation.outputs)} of {package.path} lacks its argument '{key}'"
        )
    if not operation.outputs:
        raise IntegrityError(f"an operation '{kind}' of {package.path} has no result")


def _step(
    package: Package,
    operation: Any,
    known: Mapping[str, Callable[..., Any]],
    held: Mapping[str, Any],
) -> Step:
    from zoo.formats.coreml.execute.kernels.arguments import as_tensor, forms

    kind = operation.type
    outputs = [(output.name, _type_name(package, kind, output)) for output in operation.outputs]
    given = arguments_of(package, operation)
    if kind == "read_state":
        return ReadState(_state(package, kind, given), outputs[:1])
    if kind == "write_state":
        if "data" not in given:
            raise IntegrityError(f"an operation '{kind}' of {package.path} lacks its 'data'")
        return WriteState(_state(package, kind, given), _bound(given["data"], held))
    fixed: dict[str, Any] = {}
    late: dict[str, tuple[Any, Convert]] = {}
    for key, value in given.items():
        convert = forms(known[kind])[key]
        if isinstance(value, list):
            late[key] = ([_bound(entry, held) for entry in value], None)
        elif isinstance(entry := _bound(value, held), Name):
            late[key] = (entry, None if convert is as_tensor else convert)
        else:
            try:
                fixed[key] = convert(entry)
            except (TypeError, ValueError, OverflowError, RuntimeError) as error:
                raise IntegrityError(
                    f"{title(kind, operation.outputs)} of {package.path} has an argument "
                    f"'{key}' that the reference executor does not take: {error}"
                ) from error
    step = Call(kind, known[kind], fixed, late, outputs)
    _require_sensible(package, step)
    return step


def _require_sensible(package: Package, step: Call) -> None:
    """Have the kernel refuse what it does not do, as far as constants tell."""
    from zoo.formats.coreml.execute.kernels.arguments import refusal

    if words := refusal(step.kernel, step.fixed):
        raise IntegrityError(
            f"{title(step.kind, step.outputs)} of {package.path} cannot be run by the "
            f"reference executor: {words}",
            "on a Mac, Core ML runs it",
        )


def _bound(entry: Any, held: Mapping[str, Any]) -> Any:
    if isinstance(entry, Name):
        return held.get(entry.name, entry)
    return to_tensor(entry)


def _state(package: Package, kind: str, given: Mapping[str, Any]) -> str:
    named = given.get("input")
    if not isinstance(named, Name):
        raise IntegrityError(f"an operation '{kind}' of {package.path} names no state")
    return named.name


def _type_name(package: Package, kind: str, output: Any) -> str:
    from coremltools.proto import MIL_pb2

    number = output.type.tensorType.dataType
    name = MIL_pb2.DataType.Name(number) if number in MIL_pb2.DataType.values() else str(number)
    if name not in TYPES:
        raise IntegrityError(
            f"{title(kind, [output])} of {package.path} has a result of the type {name}, "
            "which is not supported by the reference executor"
        )
    return name
