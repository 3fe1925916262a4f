"""Patterns that do not load, crash, need a newer system or take too much memory."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.formats.coreml.lint.graph import VIEWS, Function, Graph, Op, readers, source
from zoo.formats.coreml.lint.patterns import enumerated, is_flexible, shape_ranges
from zoo.formats.coreml.lint.rule import GENERATIONS, Match, Target

Found = Iterator[Match]
GIGABYTE = 1 << 30


def _match(op: Op, detail: str = "") -> Match:
    return Match(op.name, op.kind, detail)


def input_is_output(function: Function, graph: Graph, target: Target) -> Found:
    names = {feature.name for feature in function.interface.input}
    for value in function.outputs:
        if value.is_input or value.name in names:
            yield Match(value.name, "output", "it is an input too")


def scaled_half_table(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("constexpr_blockwise_shift_scale"):
        data = op.value("data")
        maker = data.producer if data is not None else None
        if maker is not None and maker.kind == "constexpr_lut_to_dense" and maker.out.half:
            yield _match(op)


def _written_by(graph: Graph, version: str) -> bool:
    return graph.metadata.get("com.github.apple.coremltools.version", "").startswith(version)


def table_beside_state(function: Function, graph: Graph, target: Target) -> Found:
    if not function.states or not _written_by(graph, "9.0"):
        return
    for op in function.of("constexpr_lut_to_dense"):
        table = op.value("lut")
        if table is not None and len(table.shape) > 1 and table.shape[-2] == 16:
            yield _match(op)


def softmax_as_transposed_factor(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("softmax"):
        for reader in op.out.consumers:
            if reader.kind == "transpose":
                turned = [o for o in reader.out.consumers if o.kind == "matmul"]
                if any(o.value("y") is reader.out for o in turned):
                    yield _match(op)
            elif (
                reader.kind == "matmul"
                and reader.value("y") is op.out
                and reader.number("transpose_y")
            ):
                yield _match(op)


def old_flexible_mean(function: Function, graph: Graph, target: Target) -> Found:
    if is_flexible(function) and _generation(function) <= 15:
        yield from (_match(op) for op in function.of("reduce_mean"))


def slice_that_may_be_empty(function: Function, graph: Graph, target: Target) -> Found:
    ranges = {f.name: shape_ranges(f) for f in function.interface.input}
    for value in function.inputs:
        for op in value.consumers:
            if op.kind != "slice_by_index" or not ranges.get(value.name):
                continue
            least = min(low for low, _ in ranges[value.name])
            begin, end = op.integers("begin"), op.integers("end")
            if any(b >= least for b in begin if b > 0) or any(-e >= least for e in end if e < 0):
                yield _match(op, f"'{value.name}' may be as short as {least}")


NEW = {
    16: "constexpr_affine_dequantize constexpr_cast constexpr_sparse_to_dense "
    "constexpr_lut_to_dense fill_like pixel_unshuffle reshape_like",
    17: "quantize dequantize resize",
    18: "constexpr_blockwise_shift_scale constexpr_lut_to_sparse "
    "constexpr_sparse_blockwise_shift_scale read_state write_state slice_update "
    "scaled_dot_product_attention",
}
"""The operations that a generation of systems brought (coremltools, mil/ops/defs)."""


def _generation(function: Function) -> int:
    return GENERATIONS.get(function.opset.lower(), 0)


def newer_than_its_system(function: Function, graph: Graph, target: Target) -> Found:
    opset = _generation(function)
    oldest = target.generation or target.oldest
    if oldest is not None and opset > oldest:
        yield Match(function.name, "function", f"{function.opset} needs iOS {opset}")
    for generation, names in NEW.items():
        if opset and generation > opset:
            for op in function.of(*names.split()):
                yield _match(op, f"came with iOS {generation}, and the program is {function.opset}")


def state_by_a_view(function: Function, graph: Graph, target: Target) -> Found:
    moved = ("transpose", "reshape")
    for op in function.of("write_state", "coreml_update_state"):
        value = op.value("data") or op.value("value")
        maker = source(value, frozenset({"identity", "cast"})) if value is not None else None
        if maker is not None and maker.kind in moved:
            reads = list(function.of("read_state"))
            if all(all(r.kind in moved for r in o.out.consumers) for o in reads):
                yield _match(op)


def state_without_units(function: Function, graph: Graph, target: Target) -> Found:
    if function.states and not any("compute" in key.lower() for key in graph.metadata):
        yield Match(function.states[0].name, "state")


MANY_FUNCTIONS = 8


def many_functions(function: Function, graph: Graph, target: Target) -> Found:
    if len(graph.functions) > MANY_FUNCTIONS and function is graph.functions[0]:
        yield Match(function.name, "function", f"{len(graph.functions)} functions")


def _heavier(function: Function, graph: Graph, most: int) -> Found:
    size = graph.weight_bytes()
    if size > most and function is graph.functions[0]:
        yield Match("weights", "package", f"{size / GIGABYTE:.1f} GiB")


def long_weight_file(function: Function, graph: Graph, target: Target) -> Found:
    return _heavier(function, graph, 1 << 31)


def over_an_app(function: Function, graph: Graph, target: Target) -> Found:
    return _heavier(function, graph, 2 * GIGABYTE)


VOCABULARY = 4096


def logits_everywhere(function: Function, graph: Graph, target: Target) -> Found:
    for value in function.outputs:
        if value.rank != 3 or not value.shape[-1] or value.shape[-1] < VOCABULARY:
            continue
        if value.shape[1] == 1:
            continue
        maker = source(value)
        x = maker.value("x") if maker is not None else None
        chosen = source(x) if x is not None else None
        if maker is not None and (chosen is None or not chosen.kind.startswith("gather")):
            yield _match(maker, f"{value.shape[-1]:,} logits for every position")


LONG = 2048


def long_upper_bound(function: Function, graph: Graph, target: Target) -> Found:
    for feature in function.interface.input:
        highest = max((high for _, high in shape_ranges(feature)), default=0)
        listed = max((max(shape) for shape in enumerated(feature)), default=0)
        if max(highest, listed) >= LONG:
            yield Match(feature.name, "input", f"up to {max(highest, listed):,}")


def large_volume(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("conv"):
        x = op.value("x")
        if x is not None and x.rank == 5 and all((n or 0) >= 128 for n in x.shape[2:]):
            yield _match(op, f"{x.shape}")


def grouped_dilated_1d(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("conv"):
        groups = op.number("groups") or 1
        x = op.value("x")
        if x is None or x.rank != 3 or groups <= 1:
            continue
        if (
            max(op.integers("dilations"), default=1) > 1
            and max(op.integers("strides"), default=1) > 1
        ):
            yield _match(op)


def half_attention(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("scaled_dot_product_attention"):
        if op.out.half:
            yield _match(op)
    for op in function.of("softmax"):
        if op.out.half and any(o.kind == "matmul" for o, _ in readers(op.out, VIEWS)):
            yield _match(op)


def dynamic_cache(function: Function, graph: Graph, target: Target) -> Found:
    if not is_flexible(function):
        return
    for state in function.states:
        if any((n or 0) >= LONG for n in state.shape):
            yield Match(state.name, "state", f"{state.shape}")


PREFILL = 16


def dynamic_prefill(function: Function, graph: Graph, target: Target) -> Found:
    if not function.states:
        return
    for feature in function.interface.input:
        highest = max((high for _, high in shape_ranges(feature)), default=0)
        if highest > PREFILL or any(high < 0 for _, high in shape_ranges(feature)):
            yield Match(feature.name, "input", f"up to {highest if highest > 0 else 'any'}")
            return
