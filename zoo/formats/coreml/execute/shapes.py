"""Follow the shapes through a program without its weights, for inputs of given shapes.

The executor runs on tensors that have a shape and no contents (PyTorch's `meta` device). What
shapes are computed from, integers, is computed for real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.execute.constants import Constants, Makers
from zoo.formats.coreml.execute.program import states_of, type_of
from zoo.formats.coreml.execute.steps import Call
from zoo.formats.coreml.package.reader import Package

INTEGERS = ("INT8", "INT16", "INT32", "UINT8", "UINT16", "BOOL")


@dataclass(frozen=True)
class Shaped:
    """One operation that ran.

    Attributes:
        kind: its type.
        name: of its first result.
        arguments: the shape of each argument that is a tensor, by name; lists are numbered.
        given: the names of the arguments that other operations computed, or that are inputs.
        results: the shape of each result.
        names: of all results.
    """

    kind: str
    name: str
    arguments: dict[str, tuple[int, ...]]
    given: tuple[str, ...]
    results: tuple[tuple[int, ...], ...]
    names: tuple[str, ...] = ()


def follow(
    package: Package, inputs: Mapping[str, tuple[int, ...]], function: str | None = None
) -> list[Shaped]:
    """The operations of a function in order, each with the shapes that it meets.

    Args:
        package: the package.
        inputs: the shape of each input.
        function: its name; `None` for the default one.

    Raises:
        IntegrityError: the package is damaged, or has an operation that is not known.
        NotFound: it has no such function.
    """
    import torch

    from zoo.formats.coreml.execute.registers import Registers
    from zoo.formats.coreml.execute.steps import read_steps, require_defined

    interface, block = package.function(function)
    steps = read_steps(_Shapes(package), block)
    states = states_of(package.path.name, interface)
    require_defined(package, steps, set(inputs), set(states), list(block.outputs))
    seen: list[Shaped] = []
    program = Registers(
        package.path.name,
        steps,
        dict.fromkeys(inputs, "FLOAT32"),
        [],
        rounds=False,
        wrap=lambda kernel, step, names: _recorded(kernel, step, names, seen),
    )
    integer = {
        feature.name: "INT" in type_of(feature.type.multiArrayType) for feature in interface.input
    }
    if strange := inputs.keys() - integer.keys():
        raise IntegrityError(f"{package.path} has no input '{min(strange)}'")
    found = {
        name: torch.zeros(shape, dtype=torch.int32)
        if integer[name]
        else torch.empty(shape, device="meta")
        for name, shape in inputs.items()
    }
    state = {name: torch.empty(shape, device="meta") for name, shape in states.items()}
    with torch.inference_mode():
        program.run(found, state)
    return seen


class _Shapes(Constants):
    """Constants without contents, save for integers."""

    def tensor(self, name: str, makers: Makers, keep_half: bool) -> Any:
        operation, number = makers[name]
        kind, shape = described(operation.outputs[number])
        value = operation.attributes["val"] if operation.type == "const" else None
        small = value is not None and value.WhichOneof("value") != "blobFileValue"
        if small or kind in INTEGERS:
            return super().tensor(name, makers, keep_half)
        import torch

        return torch.empty(shape, device="meta")


def described(output: Any) -> tuple[str, tuple[int, ...]]:
    """The type of a constant's output, by its name in MIL, and its shape."""
    from coremltools.proto import MIL_pb2

    kind = output.type.tensorType
    shape = tuple(dimension.constant.size for dimension in kind.dimensions)
    return MIL_pb2.DataType.Name(kind.dataType), shape


def _recorded(
    kernel: Callable[..., Any], step: Call, names: Sequence[str], seen: list[Shaped]
) -> Callable[..., Any]:
    import torch

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(entry) for entry in value]
        return value.to("meta") if torch.is_tensor(value) and value.dim() else value

    def run(*arguments: Any) -> Any:
        named = dict(zip(names, arguments, strict=True))
        if any(tensor.is_meta for _, tensor in _tensors(named)):
            arguments = tuple(placed(value) for value in arguments)
        results = kernel(*arguments)
        several = results if isinstance(results, list | tuple) else (results,)
        shapes = {key: tuple(tensor.shape) for key, tensor in _tensors(named)}
        made = tuple(tuple(result.shape) for result in several)
        outputs = tuple(output for output, _ in step.outputs)
        seen.append(Shaped(step.kind, outputs[0], shapes, tuple(step.reads), made, outputs))
        return results

    return run


def _tensors(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    import torch

    found = []
    for key, value in arguments.items():
        entries = [(f"{key}{n}", v) for n, v in enumerate(value)] if isinstance(value, list) else ()
        found += [(k, v) for k, v in (*entries, (key, value)) if torch.is_tensor(v)]
    return found
