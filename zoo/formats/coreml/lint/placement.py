"""A prediction of the compute unit of each operation.

It follows what projects report of the Neural Engine: static float16 programs of rank 5 at most,
without the operations that are known to leave it. Only a Mac's compute plan is the truth.
"""

from __future__ import annotations

from math import prod

from zoo.formats.coreml.lint.graph import Function, Graph, Op, Value
from zoo.formats.coreml.lint.patterns import is_flexible
from zoo.formats.coreml.lint.rule import Unit
from zoo.reports.findings import LAYER

CPU_ALONE = frozenset(
    ("resample", "non_maximum_suppression", "topk", "lstm", "gru", "rnn", "shape", "non_zero")
)
NOT_ON_ANE = CPU_ALONE | {
    "gather", "gather_nd", "gather_along_axis", "sin", "cos", "tan", "atan", "asin", "acos",
    "scatter", "scatter_nd", "scatter_along_axis", "band_part", "cumsum", "range_1d", "while_loop",
    "cond",
}  # fmt: skip
FREE = frozenset(("read_state", "write_state", "coreml_update_state", "identity"))
WIDEST = 16_384


def place(function: Function, graph: Graph) -> dict[str, Unit]:
    """The predicted unit of each computing operation, by name and in order."""
    flexible = is_flexible(function)
    return {op.name: _unit(op, flexible) for op in function.computing if op.kind not in FREE}


WEIGHTS = 64
"""Fewest numbers of a constant that tells the layer of what reads it."""


def layers_of(function: Function) -> dict[str, str]:
    """The layer of each operation: of its own weights, or of what reads its result.

    What neither tells goes with the operation before it.
    """
    found: dict[str, str] = {}
    for op in reversed(function.computing):
        own = (_layer(op, value) for _, values in sorted(op.inputs.items()) for value in values)
        read = (found.get(reader.name, "") for value in op.outputs for reader in value.consumers)
        found[op.name] = next(filter(None, own), "") or next(filter(None, read), "")
    last = ""
    for op in function.computing:
        last = found[op.name] = found[op.name] or last
    return {name: layer for name, layer in found.items() if layer}


def _layer(op: Op, value: Value) -> str:
    """The layer that the name of a weight says; the converter names others after the operation."""
    if not value.constant or prod(n or 0 for n in value.shape) < WEIGHTS:
        return ""
    if value.name.startswith((op.name, op.kind)):
        return ""
    match = LAYER.match(value.name)
    return match[1] if match else ""


def _unit(op: Op, flexible: bool) -> Unit:
    if op.kind in CPU_ALONE:
        return "cpu"
    types = {value.dtype for value in op.outputs}
    if all(t.startswith(("int", "uint")) or t in ("bool", "string") for t in types):
        return "cpu"
    if flexible or op.kind in NOT_ON_ANE or "fp32" in types:
        return "gpu"
    shapes = [value.shape for value in op.outputs]
    if any(len(s) > 5 or any(n is None or n > WIDEST for n in s) for s in shapes):
        return "gpu"
    if op.kind == "slice_update" and op.out.rank == 5:
        return "gpu"
    return "ane"
