"""Patterns that the Neural Engine refuses, or that leave it for another unit."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.formats.coreml.lint.graph import Function, Graph, Op, Value, readers
from zoo.formats.coreml.lint.patterns import enumerated, shape_ranges
from zoo.formats.coreml.lint.placement import place
from zoo.formats.coreml.lint.rule import Match, Target
from zoo.reports.findings import Placement

Found = Iterator[Match]
WIDEST, LARGEST_AXIS = 16_384, 65_536
GIGABYTE = 1 << 30


def _match(op: Op, detail: str = "") -> Match:
    return Match(op.name, op.kind, detail)


def _values(function: Function) -> Iterator[tuple[Op, Value]]:
    return ((op, value) for op in function.computing for value in op.outputs)


def high_rank(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(op, f"rank {v.rank}") for op, v in _values(function) if v.rank > 5)


def rank_5_cache(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("slice_update", "scatter", "scatter_nd", "scatter_along_axis"):
        if op.out.rank == 5:
            yield _match(op, f"shape {op.out.shape}")


def state_at_a_position(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("read_state"):
        for reader, _ in readers(op.out):
            begin = reader.value("begin") if reader.kind == "slice_update" else None
            if begin is not None and not begin.constant:
                yield _match(reader, f"the position comes from '{begin.name}'")


def unaligned_state(function: Function, graph: Graph, target: Target) -> Found:
    for state in function.states:
        if state.shape and state.shape[-1] and state.shape[-1] % 32:
            yield Match(state.name, "state", f"last axis {state.shape[-1]}")


def ranged_inputs(function: Function, graph: Graph, target: Target) -> Found:
    for feature in function.interface.input:
        if ranges := shape_ranges(feature):
            shown = ", ".join(f"{low} to {high if high >= 0 else 'any'}" for low, high in ranges)
            yield Match(feature.name, "input", shown)


def enumerated_inputs(function: Function, graph: Graph, target: Target) -> Found:
    for feature in function.interface.input:
        if shapes := enumerated(feature):
            yield Match(feature.name, "input", f"{len(shapes)} shapes")


def enumerated_with_norm(function: Function, graph: Graph, target: Target) -> Found:
    if any(enumerated(f) for f in function.interface.input):
        yield from (_match(op) for op in function.of("layer_norm"))


def several_enumerated(function: Function, graph: Graph, target: Target) -> Found:
    names = [f.name for f in function.interface.input if enumerated(f)]
    if len(names) > 1:
        yield Match(names[0], "input", f"with {', '.join(names[1:])}")


def enumerated_batch(function: Function, graph: Graph, target: Target) -> Found:
    for feature in function.interface.input:
        batches = {shape[0] for shape in enumerated(feature) if shape}
        if len(batches) > 1:
            yield Match(feature.name, "input", f"batches {sorted(batches)}")


def wide_axis(function: Function, graph: Graph, target: Target) -> Found:
    for op, value in _values(function):
        widest = max((n or 0 for n in value.shape), default=0)
        if WIDEST < widest <= LARGEST_AXIS:
            yield _match(op, f"an axis of {widest:,}")


def enormous_axis(function: Function, graph: Graph, target: Target) -> Found:
    for op, value in _values(function):
        widest = max((n or 0 for n in value.shape), default=0)
        if widest > LARGEST_AXIS:
            yield _match(op, f"an axis of {widest:,}")


def _too_heavy(graph: Graph, function: Function, most: int) -> Found:
    size = graph.weight_bytes()
    if size > most and function is graph.functions[0]:
        yield Match("weights", "package", f"{size / GIGABYTE:.1f} GiB of weights")


def over_2_gigabytes(function: Function, graph: Graph, target: Target) -> Found:
    return _too_heavy(graph, function, 2 * GIGABYTE)


def over_1_gigabyte(function: Function, graph: Graph, target: Target) -> Found:
    return _too_heavy(graph, function, GIGABYTE)


def float32_in_half(function: Function, graph: Graph, target: Target) -> Found:
    computing = function.computing
    half = sum(any(v.half for v in op.outputs) for op in computing)
    wide = [
        op
        for op in computing
        if op.kind not in ("cast", "read_state", "write_state")
        and any(v.dtype == "fp32" for v in op.outputs)
    ]
    if half > len(wide):
        yield from (_match(op) for op in wide)


def narrow_last_axis(function: Function, graph: Graph, target: Target) -> Found:
    for value in [*function.inputs, *function.outputs]:
        size = value.shape[-1] if value.shape else None
        if value.half and size is not None and size < 32 and value.rank > 1:
            kind = "state" if value.is_state else "input" if value.is_input else "output"
            yield Match(value.name, kind, f"last axis {size}")


def large_pooling(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("max_pool", "avg_pool", "l2_pool"):
        kernel, strides = op.integers("kernel_sizes"), op.integers("strides")
        if max(kernel, default=0) > 13 or max(strides, default=0) > 2:
            yield _match(op, f"kernel {kernel}, strides {strides}")


UPSAMPLING = ("upsample_nearest_neighbor", "upsample_bilinear")


def large_upsampling(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of(*UPSAMPLING):
        keys = ("scale_factor_height", "scale_factor_width")
        factor = max((op.number(key) or 1 for key in keys), default=1)
        if factor > 2:
            yield _match(op, f"factor {factor:g}")


def unusual_convolution(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("conv"):
        weight = op.value("weight")
        kernel = weight.shape[2:] if weight is not None else ()
        dilations = [d for d in op.integers("dilations") if _rest(d) > 1]
        if dilations:
            yield _match(op, f"dilation {dilations[0]}")
        elif any(k is not None and k >= 9 for k in kernel):
            yield _match(op, f"kernel {kernel}")


def _rest(number: int) -> int:
    for factor in (2, 3):
        while number and number % factor == 0:
            number //= factor
    return number


def recurrent(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(op) for op in function.of("lstm", "gru", "rnn"))


def gathering(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(op) for op in function.of("topk", "gather_along_axis", "gather", "gather_nd"))


def resampling(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(op) for op in function.of("resample"))


def trigonometric(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(op) for op in function.of("sin", "cos", "tan", "atan", "asin", "acos"))


def linear_layers(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("linear", "scaled_dot_product_attention"):
        if op.kind != "linear" or op.out.rank == 3:
            yield _match(op)


MANY_REGIONS = 25


def many_regions(function: Function, graph: Graph, target: Target) -> Found:
    count = Placement("", function.name, place(function, graph)).regions("ane")
    if count >= MANY_REGIONS:
        yield Match(function.name, "function", f"{count} predicted regions")
