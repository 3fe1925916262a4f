"""LoRA adapters of a saved `.mlpackage`: a function for each, beside the default one.

A function is the default one with a branch, `up @ (down @ x)`, added to the result of each layer
that its adapter changes. The functions name the same places in `weight.bin`, so what they share is
stored once (https://apple.github.io/coremltools/docs-guides/source/multifunction-models.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, RecipeError
from zoo.formats.adapters import LowRank
from zoo.formats.coreml.compat import scalar_value
from zoo.formats.coreml.compress.encoding import plain_name, to_float16
from zoo.formats.coreml.package.proto import (
    IOS18,
    WEIGHTS,
    copied,
    is_constant,
    make_constant,
    make_operation,
    replace_operations,
    shape_of,
    type_name,
)
from zoo.formats.coreml.package.reader import Package
from zoo.formats.coreml.package.saving import save_spec
from zoo.formats.coreml.package.writer import Blobs

BRANCH = re.compile(r".*_branch_.*_(?:down|up)")


def is_branch(name: str) -> bool:
    """Return whether a weight of a program belongs to an adapter, by its name."""
    return BRANCH.fullmatch(name) is not None


def add_branches(
    package: Path, adapters: Mapping[str, Mapping[str, LowRank]], root: str = ""
) -> None:
    """Add a function for each LoRA adapter to a package, which share the model's weights.

    The default function is not changed.

    Args:
        package: a saved `.mlpackage` for iOS 18 or later, with one function. Its weights may be
            compressed.
        adapters: name of the new function to weight to its change, as from `read_adapters`.
        root: name of the model in the traced module, which precedes the names of the checkpoint.

    Raises:
        RecipeError: an adapter has the name of the default function, or the package is for an older
            system.
        IntegrityError: an adapter changes a weight that no layer of the program reads, or does not
            fit float16. The package is then unchanged.
    """
    opened = Package(package)
    main = opened.functions[0]
    if opened.spec.specificationVersion < IOS18:
        raise RecipeError(
            f"{package} is for a system before iOS 18, which does not support functions"
        )
    if main in adapters:
        raise RecipeError(
            f"an adapter cannot be called '{main}', which is the name of the model without one"
        )
    interface, block = opened.function()
    readers = _readers(opened, block)
    branches = {
        adapter: {
            _layer(readers, root, adapter, weight, change): _branch(adapter, weight, change)
            for weight, change in changes.items()
        }
        for adapter, changes in adapters.items()
    }
    folder, functions = opened.model.parent, opened.spec.mlProgram.functions
    writer = _Writer(Blobs(folder / WEIGHTS, folder, append=True))
    for adapter, own in branches.items():
        functions[adapter].CopyFrom(functions[main])
        writer.add(functions[adapter].block_specializations[functions[main].opset], own)
    _describe(opened.spec.description, interface, [main, *adapters])
    save_spec(opened.spec, opened.model)


@dataclass(frozen=True)
class _Reader:
    """An operation that reads a constant.

    Attributes:
        result: the name of what it computes.
        matrix: the shape of the constant, outputs first and inputs second.
        obstacle: why it can have no branch, or `None` when it can.
    """

    result: str
    matrix: tuple[int, ...]
    obstacle: str | None = None


@dataclass(frozen=True)
class _Branch:
    """What is added to the result of a layer: float16 of shape (rank, inputs), (outputs, rank)."""

    name: str
    down: Any
    up: Any


def _branch(adapter: str, weight: str, change: LowRank) -> _Branch:
    narrow = [to_float16(part, f"the adapter '{adapter}'") for part in (change.down, change.up)]
    return _Branch(f"{plain_name(weight)}_branch_{plain_name(adapter)}", *narrow)


Constants = dict[str, tuple[Any, Any]]
"""For each constant, the operation that makes it and which of its outputs it is."""


def _readers(package: Package, block: Any) -> dict[str, list[_Reader]]:
    """For each constant, compressed or not, what reads it."""
    constants: Constants = {
        output.name: (operation, output)
        for operation in filter(is_constant, block.operations)
        for output in operation.outputs
    }
    found: dict[str, list[_Reader]] = {}
    for operation in block.operations:
        if is_constant(operation):
            continue
        for key, argument in operation.inputs.items():
            for name in (b.name for b in argument.arguments if b.name in constants):
                reader = _reader(package, constants, operation, key, shape_of(constants[name][1]))
                found.setdefault(name, []).append(reader)
    return found


def _reader(
    package: Package, constants: Constants, operation: Any, key: str, shape: tuple[int, ...]
) -> _Reader:
    """What reads a constant of this shape as its argument `key`."""

    def entries(key: str) -> list[Any]:
        """Those of an argument that is a constant; none if it is not given."""
        if key not in operation.inputs:
            return []
        binding = operation.inputs[key].arguments[0]
        named = binding.WhichOneof("binding") == "name"
        value = constants[binding.name][0].attributes["val"] if named else binding.value
        found = package.value(value)
        return [found] if isinstance(found, str) else list(found.reshape(-1))

    result = operation.outputs[0].name
    if (operation.type, key) == ("linear", "weight"):
        return _Reader(result, shape)
    if (operation.type, key) == ("matmul", "y") and not any(entries("transpose_x")):
        return _Reader(result, shape if any(entries("transpose_y")) else shape[::-1])
    if (operation.type, key) != ("conv", "weight"):
        return _Reader(result, shape, f"'{operation.type}', which is not a layer")
    padded = "custom" in entries("pad_type") and any(entries("pad"))
    if padded or {*shape[2:], *entries("strides"), *entries("groups")} != {1}:
        return _Reader(result, shape, "a convolution that mixes or skips pixels")
    return _Reader(result, shape[:2])


def _layer(
    readers: Mapping[str, list[_Reader]], root: str, adapter: str, weight: str, change: LowRank
) -> str:
    """The result of the layer that an adapter changes.

    A weight that several operations read is refused: coremltools stores equal weights as one, and
    nothing tells whose it was.
    """
    plain = plain_name(f"{root}.{weight}" if root else weight)
    found = readers.get(plain) or readers.get(f"{plain}_to_fp16") or []
    shape = (len(change.up), change.down.shape[1])
    if len(found) != 1:
        why = f"{len(found) or 'no'} operations of the program read it"
    elif found[0].obstacle:
        why = f"it is read by {found[0].obstacle}"
    elif found[0].matrix != shape:
        why = f"the program has it in the shape {found[0].matrix}, and the adapter in {shape}"
    else:
        return found[0].result
    raise IntegrityError(
        f"the adapter '{adapter}' changes '{weight}', which cannot have a branch: {why}"
    )


class _Writer:
    """Adds branches to functions, and writes their constants."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self._no_biases: dict[tuple[int, str], Any] = {}

    def add(self, block: Any, branches: Mapping[str, _Branch]) -> None:
        """Add to each result in the block that has a branch what the branch computes."""
        made: list[Any] = []
        known: set[str] = set()
        for operation in block.operations:
            result = operation.outputs[0].name if operation.outputs else ""
            if result in branches and not is_constant(operation):
                made += self._branched(operation, branches[result], known)
            else:
                made.append(operation)
        replace_operations(block, made)

    def _branched(self, operation: Any, branch: _Branch, known: set[str]) -> Iterator[Any]:
        """The layer, its branch, and their sum, which is called as the layer's result was."""
        output, kind = operation.outputs[0], type_name(operation.outputs[0])
        conv = operation.type == "conv"
        ones = (1,) * (len(output.type.tensorType.dimensions) - 2 if conv else 0)
        alone = _copy(operation, f"{output.name}_alone")
        yield alone
        x = operation.inputs["x"].arguments[0].name
        for part, matrix in (("down", branch.down), ("up", branch.up)):
            weight, made = f"{branch.name}_{part}", _copy(operation, f"{output.name}_{part}")
            channels = made.outputs[0].type.tensorType.dimensions[1 if conv else -1]
            channels.constant.size = len(matrix)
            array = matrix.reshape(*matrix.shape, *ones)
            yield make_constant(weight, self.blobs.add(_as(array, kind), kind))
            if conv:
                made.inputs["x"].arguments[0].name = x
                made.inputs["weight"].arguments[0].name = weight
                made.inputs.pop("bias", None)
            else:
                bias = f"no_bias_{len(matrix)}_{kind}"
                if bias not in known:
                    known.add(bias)
                    yield make_constant(bias, self._no_bias(len(matrix), kind))
                given = {"x": x, "weight": weight, "bias": bias}
                made = make_operation("linear", made.outputs[0].name, given, made.outputs)
            yield made
            x = made.outputs[0].name
        yield make_operation("add", output.name, {"x": alone.outputs[0].name, "y": x}, [output])

    def _no_bias(self, count: int, kind: str) -> Any:
        """The value of a bias that is none, stored once for all functions."""
        import numpy as np

        key = count, kind
        if key not in self._no_biases:
            self._no_biases[key] = self.blobs.add(_as(np.zeros(count, np.float16), kind), kind)
        return self._no_biases[key]


def _copy(operation: Any, name: str) -> Any:
    """The same operation with another name for its result."""
    made = copied(operation)
    made.outputs[0].name = name
    made.attributes["name"].CopyFrom(scalar_value(name))
    return made


def _as(array: Any, kind: str) -> Any:
    return array.astype({"FLOAT16": "float16", "FLOAT32": "float32"}[kind])


def _describe(description: Any, interface: Any, functions: list[str]) -> None:
    """Say that the package has these functions, each with the interface of the one that it had."""
    fields = ("input", "output", "state")
    for name in functions:
        described = description.functions.add(name=name)
        for field in fields:
            getattr(described, field).extend(getattr(interface, field))
    for field in fields:
        description.ClearField(field)
    description.defaultFunctionName = functions[0]
