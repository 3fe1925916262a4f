"""Compile the block of an ML program into steps: operations with their constants at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.execute.aliases import Operation, need_copies
from zoo.formats.coreml.execute.constants import Constants, to_tensor
from zoo.formats.coreml.package.proto import Name, arguments_of, is_constant
from zoo.formats.coreml.package.reader import Package

MOVING = {
    "concat", "expand_dims", "gather", "gather_along_axis", "identity", "relu", "reshape", "select",
    "slice_by_index", "slice_by_size", "slice_update", "split", "squeeze", "stack", "tile",
    "transpose",
}  # fmt: skip
"""Operations whose results are numbers that they were given, and so are rounded already."""

_TYPES = {
    "BOOL": "bool", "INT8": "int8", "INT16": "int16", "INT32": "int32", "UINT8": "uint8",
    "UINT16": "int32", "FLOAT16": "float32", "FLOAT32": "float32",
}  # fmt: skip
"""What each type of MIL is held as; float16 is float32 with rounded values."""


@dataclass
class Step:
    """One operation.

    Attributes:
        kind: its type.
        kernel: what computes it; `None` for reading and writing a state.
        fixed: arguments that are constants.
        late: other arguments, names or lists with names in them, each with what converts it.
        outputs: name and type of each result.
        rounds: whether results are rounded to float16.
        narrow: weights kept in float16.
        copies: whether `x` would be changed in place, but is wanted later.
        spent: names that no later step reads.
    """

    kind: str
    kernel: Callable[..., Any] | None
    fixed: dict[str, Any]
    late: list[tuple[str, Any, Callable[[Any], Any] | None]]
    outputs: list[tuple[str, Any]]
    rounds: bool
    narrow: Mapping[str, Any]
    copies: bool = False
    spent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Tell arguments that are handed on as they are, most of them, from the others."""
        self._plain = [
            (key, value.name)
            for key, value, convert in self.late
            if isinstance(value, Name) and convert is None and value.name not in self.narrow
        ]
        plain = {key for key, _ in self._plain}
        self._other = [entry for entry in self.late if entry[0] not in plain]

    @property
    def reads(self) -> list[str]:
        """The names of the results that it needs."""
        entries = [e for _, v, _ in self.late for e in (v if isinstance(v, list) else [v])]
        return [entry.name for entry in entries if isinstance(entry, Name)]

    @property
    def described(self) -> Operation:
        """What decides whether a state may be updated in place."""
        late = {key: value for key, value, _ in self.late}
        source = late.get("data" if self.kind == "write_state" else "x")
        made = [name for name, _ in self.outputs]
        state = self.fixed["input"] if self.kind.endswith("_state") else None
        return Operation(self.kind, getattr(source, "name", None), made, state)

    def run(self, found: dict[str, Any], state: dict[str, Any]) -> None:
        """Compute the results into `found`, from what is there and in `state`."""
        if self.kind == "read_state":
            found[self.outputs[0][0]] = state[self.fixed["input"]]
            return
        arguments = self.fixed.copy()
        for key, name in self._plain:
            arguments[key] = found[name]
        for key, value, convert in self._other:
            got = (
                [self._get(entry, found) for entry in value]
                if isinstance(value, list)
                else self._get(value, found)
            )
            arguments[key] = convert(got) if convert else got
        if self.kernel is None:
            state[arguments["input"]] = arguments["data"]
        else:
            if self.copies:
                arguments["x"] = arguments["x"].clone()
            results = self.kernel(**arguments)
            if not isinstance(results, tuple):
                results = (results,)
            for (name, kind), result in zip(self.outputs, results, strict=True):
                if self.rounds:
                    found[name] = result.half().float()
                else:
                    found[name] = result if result.dtype == kind else result.to(kind)
        for name in self.spent:
            del found[name]

    def _get(self, entry: Any, found: Mapping[str, Any]) -> Any:
        if not isinstance(entry, Name):
            return entry
        return found[entry.name] if entry.name in found else self.narrow[entry.name].float()


def compile_block(constants: Constants, block: Any, *, rounds: bool) -> list[Step]:
    """The steps of a block, in order.

    Args:
        constants: those of its package.
        block: the protobuf of the block.
        rounds: whether float16 results are rounded.

    Raises:
        IntegrityError: the package is damaged, or has an operation that is not known.
    """
    import torch

    from zoo.formats.coreml.execute.kernels import arithmetic, neural, shape
    from zoo.formats.coreml.execute.kernels.arguments import kernels

    package = constants.package
    known = kernels([arithmetic, neural, shape])
    _require_known(package, block, known)
    tensors = constants.of(block)
    narrow = {
        name: tensor
        for name, tensor in tensors.items()
        if torch.is_tensor(tensor) and tensor.dtype == torch.float16
    }
    held = {name: tensor for name, tensor in tensors.items() if name not in narrow}
    steps = [
        _step(package, operation, known.get(operation.type), rounds, held, narrow)
        for operation in block.operations
        if not is_constant(operation)
    ]
    outputs, last = set(block.outputs), {}
    for number, step in enumerate(steps):
        last.update(dict.fromkeys(step.reads, number))
    for name, number in last.items():
        if name not in outputs and name not in narrow:
            steps[number].spent.append(name)
    for number in need_copies([step.described for step in steps], last, outputs):
        steps[number].copies = True
    return steps


def _require_known(package: Package, block: Any, known: Mapping[str, Any]) -> None:
    from zoo.formats.coreml.execute.kernels.arguments import wanted

    for operation in block.operations:
        kind = operation.type
        if is_constant(operation) or kind in ("read_state", "write_state"):
            continue
        if kind not in known or operation.blocks:
            raise IntegrityError(
                f"the operation '{kind}' of {package.path} is not known to the reference executor",
                "on a Mac, Core ML runs it",
            )
        for key in operation.inputs.keys() - wanted(known[kind]).keys():
            raise IntegrityError(
                f"the argument '{key}' of the operation '{kind}' in {package.path} is not known "
                "to the reference executor",
                "on a Mac, Core ML runs it",
            )


def _step(
    package: Package,
    operation: Any,
    kernel: Callable[..., Any] | None,
    rounds: bool,
    held: Mapping[str, Any],
    narrow: Mapping[str, Any],
) -> Step:
    import torch

    from zoo.formats.coreml.execute.kernels.arguments import wanted

    def bound(entry: Any) -> Any:
        if isinstance(entry, Name):
            return held.get(entry.name, entry)
        return to_tensor(entry)

    forms = wanted(kernel) if kernel else {}
    fixed: dict[str, Any] = {}
    late: list[tuple[str, Any, Callable[[Any], Any] | None]] = []
    for key, value in arguments_of(package, operation).items():
        convert = forms.get(key)
        if kernel is None and key == "input":
            fixed[key] = value.name
        elif isinstance(value, list):
            late.append((key, [bound(entry) for entry in value], convert))
        elif isinstance(entry := bound(value), Name):
            late.append((key, entry, convert))
        else:
            fixed[key] = convert(entry) if convert else entry
    kinds = [_type_name(output) for output in operation.outputs]
    outputs = [
        (output.name, getattr(torch, _TYPES[kind]))
        for output, kind in zip(operation.outputs, kinds, strict=True)
    ]
    half = "FLOAT16" in kinds and operation.type not in MOVING
    return Step(operation.type, kernel, fixed, late, outputs, rounds and half, narrow)


def _type_name(output: Any) -> str:
    from coremltools.proto import MIL_pb2

    name: str = MIL_pb2.DataType.Name(output.type.tensorType.dataType)
    if name not in _TYPES:
        raise IntegrityError(f"results of the type {name} are not known to the reference executor")
    return name
