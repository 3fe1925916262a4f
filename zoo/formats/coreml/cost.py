"""What the operations of a Core ML package cost: weights, traffic and arithmetic."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from zoo.formats.coreml.execute.plan import load_plan, read_plan
from zoo.formats.coreml.execute.shapes import Shaped, described, follow
from zoo.formats.coreml.package.proto import blob, is_constant, read_names, shape_of, type_name
from zoo.formats.coreml.package.reader import Package, stored_bytes
from zoo.reports.costs import Operation

LAYER = re.compile(r"(.*?[_.]\d+)[_.].*")
"""The part of a weight's name up to the first number: `model_layers_3` of its layer."""

STORED_AS = re.compile(r"_(to|cast)_fp16.*|_(palettized|quantized)(_.*)?$")
"""What converters put behind the name of a weight."""

PARAMETER = re.compile(r"weight|bias|gamma|beta")

FREE = {
    "concat", "expand_dims", "fill", "gather", "gather_along_axis", "identity", "pad", "range_1d",
    "reshape", "select", "shape", "slice_by_index", "slice_by_size", "slice_update", "split",
    "squeeze", "stack", "tile", "transpose", "upsample_nearest_neighbor", "cast", "band_part",
}  # fmt: skip
"""Operations that move numbers and compute none."""

SHARED = "(shared)"
"""The layer of what comes before all layers and serves them, such as tables of positions."""

VIEWS = {
    "cast", "expand_dims", "identity", "reshape", "shape", "slice_by_index", "slice_by_size",
    "split", "squeeze",
}  # fmt: skip
"""Operations whose results need not be written again."""

TABLES = ("slice_by_index", "slice_by_size")
"""Operations that read a part of a constant: a table, and not weights."""

NUMBER_BYTES = 2
"""Activations are float16 but for a few places."""

EACH = {"softmax": 5, "layer_norm": 8, "batch_norm": 4, "gelu": 8, "silu": 4, "sigmoid": 4}
"""Operations on each number, where it is more than one."""


def package_cost(
    path: Path,
    inputs: Mapping[str, tuple[int, ...]],
    part: str = "model",
    function: str | None = None,
) -> list[Operation]:
    """Count the cost of the operations of a function, for given input shapes.

    On a Mac, the device and share of each operation come from Core ML's compute plan
    (https://developer.apple.com/documentation/coreml/mlcomputeplan-1w21n).

    Args:
        path: the `.mlpackage`.
        inputs: input to shape.
        part: name of the component in the result.
        function: the function; `None` for the default one.

    Raises:
        IntegrityError: the package is damaged, or has an unsupported operation.
        NotFound: there is no such function.
    """
    package = Package(path)
    _, block = package.function(function)
    weights = _weights(package, block)
    shaped = follow(package, inputs, function)
    layers = _layers(shaped, weights)
    plan = compute_plan(path, function or "main") if sys.platform == "darwin" else {}
    operations = []
    for step in shaped:
        own = weights.get(step.name, [])
        device, share = plan.get(step.name, (None, None))
        operations.append(
            Operation(
                part=part,
                layer=layers[step.name],
                kind=step.kind,
                name=step.name,
                parameters=sum(count for _, _, count, _ in own),
                weight_bytes=sum(size for *_, size in own),
                activation_bytes=_moved(step, own) * NUMBER_BYTES,
                flops=flops(step),
                device=device,
                share=share,
            )
        )
    return operations


def fixed_inputs(package: Package, function: str | None = None) -> dict[str, tuple[int, ...]]:
    """Return the default shape of each input of a function."""
    interface, _ = package.function(function)
    return {f.name: tuple(int(n) for n in f.type.multiArrayType.shape) for f in interface.input}


def flops(step: Shaped) -> int:
    """Floating-point operations of one operation; a multiplication and an addition are two."""
    shapes, result = step.arguments, prod(step.results[0])
    match step.kind:
        case "linear":
            return 2 * result * shapes["x"][-1]
        case "matmul":
            return 2 * result * shapes["x"][-1]
        case "conv":
            return 2 * result * prod(shapes["weight"][1:])
        case "conv_transpose":
            return 2 * prod(shapes["x"]) * prod(shapes["weight"][1:])
        case "einsum":
            return 2 * result * shapes["values0"][-1]
        case "scaled_dot_product_attention":
            scores = prod(shapes["query"][:-1]) * shapes["key"][-2]
            return 2 * scores * (shapes["query"][-1] + shapes["value"][-1]) + 5 * scores
        case kind if kind in FREE:
            return 0
        case kind if kind.startswith("reduce_"):
            return prod(shapes["x"])
    return result * EACH.get(step.kind, 1)


def compute_plan(path: Path, function: str = "main") -> dict[str, tuple[str | None, float | None]]:
    """For each operation, by the name of its first result, Core ML's device and share of cost."""
    plan = load_plan(path, "ALL")
    functions = plan.model_structure.program.functions
    return read_plan(plan, functions.get(function) or next(iter(functions.values())))


Weight = tuple[str, tuple[int, ...], int, int]
"""A constant's name, shape, number of weights and bytes on disk."""


def _weights(package: Package, block: Any) -> dict[str, list[Weight]]:
    """For each operation, by its first result, the constants that it is the first to read."""
    constants: dict[str, Weight] = {}
    for operation in filter(is_constant, block.operations):
        values = [operation.attributes["val"]] if operation.type == "const" else []
        values += [b.value for given in operation.inputs.values() for b in given.arguments]
        size = sum(map(_stored, values))
        size += sum(constants[name][3] for name in read_names(operation))
        for output in operation.outputs:
            if size:
                _, shape = described(output)
                constants[output.name] = (output.name, shape, prod(shape), size)
                size = 0
            else:
                constants[output.name] = (output.name, (), 0, 0)
    found: dict[str, list[Weight]] = {}
    for operation in block.operations:
        if is_constant(operation) or not operation.outputs:
            continue
        for key, given in operation.inputs.items():
            for name in (b.name for b in given.arguments if b.name in constants):
                _, shape, count, size = constants.pop(name)
                nothing = key == "bias" and not package.value(_value(block, name)).any()
                table = operation.type in TABLES
                weight = (name, shape, 0 if nothing or table else count, size)
                found.setdefault(operation.outputs[0].name, []).append(weight)
    return found


def _value(block: Any, name: str) -> Any:
    return next(
        operation.attributes["val"]
        for operation in block.operations
        if operation.outputs and operation.outputs[0].name == name
    )


def _stored(value: Any) -> int:
    """Bytes of a constant in the file of weights; what is in the program itself counts as none."""
    return stored_bytes(type_name(value), prod(shape_of(value))) if blob(value) else 0


def _moved(step: Shaped, own: list[Weight]) -> int:
    """How many numbers an operation reads and writes beside its weights."""
    if step.kind in VIEWS:
        return 0
    if step.kind == "slice_update":
        return 2 * prod(step.arguments["update"])
    results = sum(map(prod, step.results))
    if step.kind == "gather":
        return 2 * results
    left = [shape for _, shape, _, _ in own]
    for shape in step.arguments.values():
        if shape in left:
            left.remove(shape)
        else:
            results += prod(shape)
    return results


def _layers(shaped: list[Shaped], weights: Mapping[str, list[Weight]]) -> dict[str, str]:
    """The layer of each operation: of its own weights, or else of what its result goes to.

    A converter that folds constants names the result by the operation that it replaces, such as
    `var_67` and `mul_0`. Such a name says nothing.
    """
    kinds = "|".join(sorted({"const", "op", "var", *(step.kind for step in shaped)}))
    folded = re.compile(rf"({kinds})_\d+(_.*)?")
    found: dict[str, str] = {}
    goes_to: dict[str, str] = {}
    for step in reversed(shaped):
        own = [
            name
            for name, _, count, _ in weights.get(step.name, [])
            if count and (PARAMETER.search(name) or not folded.fullmatch(name))
        ]
        layer = layer_of(own[0]) if own else goes_to.get(step.name, "")
        found[step.name] = layer
        goes_to.update(dict.fromkeys(step.given, layer))
    last = SHARED
    for step in shaped:
        last = found[step.name] = found[step.name] or last
    return found


def layer_of(weight: str) -> str:
    """The layer that a weight belongs to, from its name."""
    weight = STORED_AS.sub("", weight)
    match = LAYER.fullmatch(weight)
    return match[1] if match else re.sub(r"_(weight|bias)(_.*)?$", "", weight)
