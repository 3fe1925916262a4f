"""Questions about a graph that several rules ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from zoo.formats.coreml.lint.graph import VIEWS, Function, Op, Value, readers, source

LOWEST_HALF = -65504.0
"""The lowest number of float16."""

ADDITIVE = VIEWS | {"add", "sub", "mul", "select", "maximum", "minimum", "where"}
"""Operations that a mask may pass on its way to the scores of attention."""


def squared(value: Value) -> tuple[Op, Value] | None:
    """The operation that squares, and what it squares, if `value` is a square."""
    op = source(value, frozenset({"identity"}))
    if op is None:
        return None
    x, y = op.value("x"), op.value("y")
    if op.kind == "square" and x is not None:
        return op, x
    if op.kind == "mul" and x is not None and x is y:
        return op, x
    if op.kind == "pow" and x is not None and op.number("y") == 2:
        return op, x
    return None


def square_sums(function: Function) -> Iterator[tuple[Op, Value]]:
    """Each reduction of squares, with what is squared: of RMSNorm, for instance."""
    for op in function.of("reduce_mean", "reduce_sum", "reduce_sum_square"):
        x = op.value("x")
        if x is None:
            continue
        if op.kind == "reduce_sum_square":
            yield op, x
        elif (found := squared(x)) is not None:
            yield op, found[1]


def root_after(op: Op) -> Op | None:
    """The `rsqrt`, `sqrt` or `pow` that reads a result, past additions and scalings."""
    for reader, _ in readers(op.out, VIEWS | {"add", "mul", "real_div", "maximum"}):
        if reader.kind in ("rsqrt", "sqrt") or (
            reader.kind == "pow" and abs(reader.number("y") or 0) == 0.5
        ):
            return reader
    return None


def scaled_by_maximum(value: Value) -> Op | None:
    """The division by the largest magnitude that made a value, if it is one."""
    op = source(value)
    if op is None or op.kind not in ("real_div", "mul"):
        return None
    divisor = op.value("y")
    maker = source(divisor, VIEWS | {"maximum", "inverse", "add"}) if divisor is not None else None
    return op if maker is not None and maker.kind == "reduce_max" else None


def guarded_exponent(op: Op) -> bool:
    """Whether an `exp` cannot overflow: its input is at most zero, or had its maximum removed."""
    x = op.value("x")
    maker = source(x) if x is not None else None
    if maker is None:
        return False
    if maker.kind == "sub":
        y = maker.value("y")
        subtracted = source(y) if y is not None else None
        return subtracted is not None and subtracted.kind in ("reduce_max", "abs", "maximum")
    if maker.kind == "mul":
        parts = [maker.value("x"), maker.value("y")]
        makers = [source(v) for v in parts if v is not None]
        factors = [n for key in ("x", "y") if (n := maker.number(key)) is not None]
        return any(m is not None and m.kind == "abs" for m in makers) and any(
            n < 0 for n in factors
        )
    return maker.kind in ("log_softmax", "minimum")


def extreme_constants(function: Function, wanted: Callable[[Any], bool]) -> Iterator[Value]:
    """The small floating-point constants with numbers as wanted, given as an array."""
    from zoo.formats.coreml.lint.graph import numbers

    for op in function.of("const"):
        value = op.out
        if value.dtype not in ("fp16", "fp32") or not value.consumers:
            continue
        found = numbers(value)
        if found is not None and found.size and wanted(found):
            yield value


def reaches(value: Value, kinds: tuple[str, ...], through: frozenset[str] = ADDITIVE) -> Op | None:
    """The first operation of some kinds that a value gets to."""
    for reader, given in readers(value, through):
        if reader.kind in kinds:
            mask = reader.kind != "scaled_dot_product_attention" or given is reader.value(
                "attn_mask"
            )
            if mask:
                return reader
    return None


def is_flexible(function: Function) -> bool:
    """Whether any input takes several shapes."""
    return any(shape_ranges(f) or enumerated(f) for f in function.interface.input)


def shape_ranges(feature: Any) -> list[tuple[int, int]]:
    """The axes of an input that take a range of sizes, as (lower, upper); -1 for no bound."""
    array = feature.type.multiArrayType
    if array.WhichOneof("ShapeFlexibility") != "shapeRange":
        return []
    ranges = [(int(r.lowerBound), int(r.upperBound)) for r in array.shapeRange.sizeRanges]
    return [(low, high) for low, high in ranges if low != high]


def enumerated(feature: Any) -> list[tuple[int, ...]]:
    """The shapes that an input takes, where they are listed."""
    array = feature.type.multiArrayType
    if array.WhichOneof("ShapeFlexibility") != "enumeratedShapes":
        return []
    return [tuple(int(n) for n in shape.shape) for shape in array.enumeratedShapes.shapes]


def spatial_rank(op: Op) -> int:
    """Axes that a convolution or pooling moves along."""
    x = op.value("x")
    return max(0, x.rank - 2) if x is not None else 0
