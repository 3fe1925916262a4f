"""Compile the block of an ML program into steps: operations with their constants at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.aliases import Operation, need_copies
from zoo.formats.coreml.package import Package, decompress

MOVING = {
    "concat", "expand_dims", "gather", "gather_along_axis", "identity", "relu", "reshape", "select",
    "slice_by_index", "slice_by_size", "slice_update", "split", "squeeze", "stack", "tile",
    "transpose",
}  # fmt: skip
"""Operations whose results are numbers that they were given, and so are rounded already."""

WIDE = 2_000_000_000
"""Weights up to which all of them are widened to float32 once, not each time they are used."""

_TYPES = {
    "BOOL": "bool", "INT8": "int8", "INT16": "int16", "INT32": "int32", "UINT8": "uint8",
    "UINT16": "int32", "FLOAT16": "float32", "FLOAT32": "float32",
}  # fmt: skip
"""What each type of MIL is held as; float16 is float32 with rounded values."""


@dataclass(frozen=True)
class Name:
    """An argument that an earlier step computes, or a weight that is kept narrow."""

    name: str


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
        arguments = dict(self.fixed)
        for key, value, convert in self.late:
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
            several = results if isinstance(results, list | tuple) else (results,)
            for (name, kind), result in zip(self.outputs, several, strict=True):
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


def compile_block(package: Package, block: Any, *, rounds: bool) -> list[Step]:
    """The steps of a block, in order; constants and compressed weights are computed once.

    Args:
        package: where the constants are.
        block: the protobuf of the block.
        rounds: whether float16 results are rounded.

    Raises:
        IntegrityError: the package is damaged, or has an operation that is not known.
    """
    from zoo.formats.coreml.kernels import arithmetic, neural, shape
    from zoo.formats.coreml.kernels.arguments import kernels

    known = kernels([arithmetic, neural, shape])
    _require_known(package, block, known)
    held, narrow = _constants(package, block)
    steps = [
        _step(package, operation, known.get(operation.type), rounds, held, narrow)
        for operation in block.operations
        if not _is_constant(operation)
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


def to_tensor(value: Any, keep_half: bool = False) -> Any:
    """The PyTorch tensor of an array; text stays what it is.

    float16 becomes float32, unless it is a matrix to be kept; unsigned integers become int32.
    """
    import numpy as np
    import torch

    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype == np.float16 and not (keep_half and array.ndim > 1):
        array = array.astype(np.float32)
    elif array.dtype in (np.uint16, np.uint32, np.int64):
        array = array.astype(np.int32)
    elif not array.flags.writeable or not array.flags.c_contiguous:
        array = array.copy()
    return torch.from_numpy(array)


def _require_known(package: Package, block: Any, known: Mapping[str, Any]) -> None:
    from zoo.formats.coreml.kernels.arguments import wanted

    for operation in block.operations:
        kind = operation.type
        if _is_constant(operation) or kind in ("read_state", "write_state"):
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


def _constants(package: Package, block: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Constants that are held as they are used, and those that are widened at each use."""
    import torch

    arrays: dict[str, Any] = {}
    for operation in filter(_is_constant, block.operations):
        if operation.type == "const":
            arrays[operation.outputs[0].name] = package.value(operation.attributes["val"])
            continue
        arguments = {
            key: arrays[value.name] if isinstance(value, Name) else value
            for key, value in _arguments(package, operation).items()
        }
        results = decompress(operation.type, arguments)
        names = [output.name for output in operation.outputs]
        arrays.update(zip(names, results, strict=True))
    used = {
        binding.name
        for operation in block.operations
        if not _is_constant(operation)
        for argument in operation.inputs.values()
        for binding in argument.arguments
    }
    arrays = {name: array for name, array in arrays.items() if name in used}
    total = sum(array.size for array in arrays.values() if not isinstance(array, str))
    tensors: dict[str, Any] = {}
    while arrays:
        name, array = arrays.popitem()
        tensors[name] = to_tensor(array, keep_half=total > WIDE)
    narrow = {
        name: tensor
        for name, tensor in tensors.items()
        if torch.is_tensor(tensor) and tensor.dtype == torch.float16
    }
    return {name: tensor for name, tensor in tensors.items() if name not in narrow}, narrow


def _step(
    package: Package,
    operation: Any,
    kernel: Callable[..., Any] | None,
    rounds: bool,
    held: Mapping[str, Any],
    narrow: Mapping[str, Any],
) -> Step:
    import torch

    from zoo.formats.coreml.kernels.arguments import wanted

    def bound(entry: Any) -> Any:
        if isinstance(entry, Name):
            return held.get(entry.name, entry)
        return to_tensor(entry)

    forms = wanted(kernel) if kernel else {}
    fixed: dict[str, Any] = {}
    late: list[tuple[str, Any, Callable[[Any], Any] | None]] = []
    for key, value in _arguments(package, operation).items():
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


def _arguments(package: Package, operation: Any) -> dict[str, Any]:
    """The arguments of an operation: arrays, names, or lists of both."""
    found: dict[str, Any] = {}
    for key, argument in operation.inputs.items():
        entries = [
            Name(binding.name)
            if binding.WhichOneof("binding") == "name"
            else package.value(binding.value)
            for binding in argument.arguments
        ]
        found[key] = entries if key == "values" else entries[0]
    return found


def _is_constant(operation: Any) -> bool:
    return bool(operation.type == "const" or operation.type.startswith("constexpr_"))


def _type_name(output: Any) -> str:
    from coremltools.proto import MIL_pb2

    name: str = MIL_pb2.DataType.Name(output.type.tensorType.dataType)
    if name not in _TYPES:
        raise IntegrityError(f"results of the type {name} are not known to the reference executor")
    return name
