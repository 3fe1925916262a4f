"""Rules on wrong numbers: what computes without an error, and not what was asked."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.formats.coreml.lint.graph import Function, Graph, Op, readers, source
from zoo.formats.coreml.lint.patterns import (
    LOWEST_HALF,
    extreme_constants,
    guarded_exponent,
    reaches,
    root_after,
    scaled_by_maximum,
    square_sums,
    squared,
)
from zoo.formats.coreml.lint.rule import Match, Target

Found = Iterator[Match]


def _match(op: Op, detail: str = "") -> Match:
    return Match(op.name, op.kind, detail)


def softplus(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(o) for o in function.of("softplus", "softplus_parametric") if o.out.half)


def log_sum_exp(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(o) for o in function.of("reduce_log_sum_exp") if o.out.half)


def unguarded_log_of_exp(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("log"):
        x = op.value("x")
        summed = source(x) if x is not None else None
        if not op.out.half or summed is None:
            continue
        if summed.kind not in ("add", "reduce_sum", "cumsum"):
            continue
        for key in ("x", "y"):
            given = summed.value(key)
            maker = source(given) if given is not None else None
            if maker is not None and maker.kind == "exp" and not guarded_exponent(maker):
                yield _match(op, f"of '{maker.name}', which has no maximum subtracted")


def half_square_sum(function: Function, graph: Graph, target: Target) -> Found:
    for op, x in square_sums(function):
        if op.out.half and x.half and not scaled_by_maximum(x) and root_after(op):
            yield _match(op, "squares overflow float16 from 256 on")


def float32_island(function: Function, graph: Graph, target: Target) -> Found:
    for op, x in square_sums(function):
        maker = source(x, frozenset({"identity"}))
        if op.out.dtype != "fp32" or maker is None or maker.kind != "cast":
            continue
        given = maker.value("x")
        if given is not None and given.half and root_after(op):
            yield _match(op, f"between casts from '{maker.name}'")


def unscaled_epsilon(function: Function, graph: Graph, target: Target) -> Found:
    for op, x in square_sums(function):
        if not scaled_by_maximum(x):
            continue
        for reader in op.out.consumers:
            epsilon = reader.number("y") if reader.kind == "add" else None
            if epsilon:
                yield _match(reader, f"epsilon {epsilon:g} is added to squares that were rescaled")


def mask_below_half(function: Function, graph: Graph, target: Target) -> Found:
    for value in extreme_constants(
        function, lambda n: bool(((n <= LOWEST_HALF) & (n > -float("inf"))).any())
    ):
        if value.dtype != "fp32":
            continue
        past = frozenset({"select", "mul", "sub", "add", "reshape", "expand_dims", "identity"})
        for reader, _ in readers(value, past):
            if reader.kind == "cast" and reader.out.half:
                yield _match(reader, f"of '{value.name}'")


def infinite_mask(function: Function, graph: Graph, target: Target) -> Found:
    for value in extreme_constants(function, lambda n: bool((n == -float("inf")).any())):
        if found := reaches(value, ("softmax", "scaled_dot_product_attention")):
            yield _match(found, f"'{value.name}' holds -inf")


def lowest_mask(function: Function, graph: Graph, target: Target) -> Found:
    for value in extreme_constants(function, lambda n: bool((n == LOWEST_HALF).any())):
        if value.half and (found := reaches(value, ("softmax", "scaled_dot_product_attention"))):
            yield _match(found, f"'{value.name}' holds {LOWEST_HALF:g}")


NORMS = ("layer_norm", "batch_norm", "instance_norm", "l2_norm", "rsqrt", "log")
LEAST_HALF = 6e-8


def vanishing_epsilon(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of(*NORMS):
        epsilon = op.number("epsilon")
        if not op.out.half or epsilon is None or epsilon >= LEAST_HALF:
            continue
        if op.kind in ("rsqrt", "log") and _kept_positive(op):
            continue
        yield _match(op, f"epsilon {epsilon:g} is 0 in float16")


def _kept_positive(op: Op) -> bool:
    x = op.value("x")
    maker = source(x, frozenset({"cast", "identity"})) if x is not None else None
    if maker is None or maker.kind not in ("add", "maximum", "clip", "exp", "reduce_sum"):
        return False
    if maker.kind == "clip":
        return (maker.number("alpha") or 0) >= LEAST_HALF
    if maker.kind in ("exp", "reduce_sum"):
        return True
    return any((maker.number(key) or 0) >= LEAST_HALF for key in ("x", "y"))


def scale_per_block(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("constexpr_blockwise_shift_scale"):
        scale = op.value("scale")
        if scale is not None and sum(1 for n in scale.shape if n != 1) > 1:
            yield _match(op, f"scales of shape {scale.shape}")


def row_wise_int8(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("constexpr_blockwise_shift_scale", "constexpr_affine_dequantize"):
        data = op.value("data") or op.value("quantized_data")
        scale = op.value("scale")
        if data is None or scale is None or data.dtype not in ("int8", "uint8"):
            continue
        rows = data.shape[0]
        by_row = scale.shape[:1] == (rows,) and all(n == 1 for n in scale.shape[1:])
        if rows != 1 and by_row and any(o.kind == "linear" for o in op.out.consumers):
            yield _match(op)


def one_table_of_4_bits(function: Function, graph: Graph, target: Target) -> Found:
    decoder = function.states or any(function.of("scaled_dot_product_attention"))
    if not decoder:
        return
    for op in function.of("constexpr_lut_to_dense"):
        table = op.value("lut")
        if table is None or len(table.shape) < 2 or table.shape[-2] != 16:
            continue
        if all(n == 1 for n in table.shape[:-2]):
            yield _match(op)


def unfused_attention_in_batches(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("softmax"):
        x = op.value("x")
        added = source(x) if x is not None else None
        batch = op.out.shape[0] if op.out.shape else None
        if added is None or added.kind != "add" or not batch or batch < 10:
            continue
        scores = [source(v) for k in ("x", "y") if (v := added.value(k)) is not None]
        after = [o for o, _ in readers(op.out)]
        if any(s is not None and s.kind == "matmul" for s in scores) and any(
            o.kind == "matmul" and any(n.kind == "linear" for n, _ in readers(o.out)) for o in after
        ):
            yield _match(op, f"batch of {batch}")


def modulo_of_a_quotient(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("mod"):
        x = op.value("x")
        maker = source(x) if x is not None else None
        divided = maker is not None and maker.kind in ("real_div", "mul")
        if op.number("y") == 1 and op.out.dtype in ("fp16", "fp32") and divided:
            yield _match(op)


def rounding(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("floor", "ceil", "round"):
        if op.out.dtype in ("fp16", "fp32"):
            yield _match(op)
    for op in function.of("cast"):
        x = op.value("x")
        truncates = op.out.dtype.startswith("int") and x is not None and x.dtype in ("fp16", "fp32")
        if truncates and any(
            o.kind == "cast" and o.out.dtype in ("fp16", "fp32") for o in op.out.consumers
        ):
            yield _match(op, "to an integer and back")


def half_argmax(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("reduce_argmax"):
        x = op.value("x")
        if x is not None and x.half:
            yield _match(op)


def flat_hardswish(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("linear", "matmul"):
        if op.out.rank != 2 or not op.out.half:
            continue
        for gate in (o for o, _ in readers(op.out, frozenset({"identity"}))):
            products = (o for o, _ in readers(gate.out, frozenset({"identity"})))
            if gate.kind == "sigmoid_hard" and any(o.kind == "mul" for o in products):
                yield _match(op)


def nan_as_a_signal(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("equal", "not_equal"):
        x = op.value("x")
        maker = x is not None and x is op.value("y") and x.dtype in ("fp16", "fp32")
        if maker:
            yield _match(op, f"compares '{x.name if x else ''}' with itself")


def transposed_convolution(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("conv_transpose"):
        if op.value("output_shape") is not None:
            yield _match(op, "output_shape is given")
        elif op.out.rank == 3 and op.out.half:
            yield _match(op, "one-dimensional in float16")


def half_power_spectrum(function: Function, graph: Graph, target: Target) -> Found:
    past = frozenset(("add", "matmul", "linear", "conv", "reduce_sum", "maximum", "clip", "cast"))
    for op in function.ops:
        if op.constant or op.kind not in ("square", "pow", "mul") or not op.out.half:
            continue
        if squared(op.out) is None:
            continue
        for reader, _ in readers(op.out, past):
            if reader.kind == "log" and reader.out.half:
                yield _match(op, f"before '{reader.name}'")


def odd_strides(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("conv"):
        if not op.out.half:
            continue
        for stride in op.integers("strides"):
            rest = stride
            for factor in (2, 3):
                while rest and rest % factor == 0:
                    rest //= factor
            if rest > 1:
                yield _match(op, f"stride {stride}")
                break


def narrow_indices(function: Function, graph: Graph, target: Target) -> Found:
    for op in function.of("gather", "gather_along_axis"):
        indices, table = op.value("indices"), op.value("x")
        maker = indices.producer if indices is not None else None
        if maker is None or table is None or maker.kind != "cast":
            continue
        axis = int(op.number("axis") or 0)
        rows = table.shape[axis] if table.shape else None
        if maker.out.dtype == "int16" and rows is not None and rows > 32767:
            yield _match(op, f"{rows:,} rows")


def batch_norm_of_rank_5(function: Function, graph: Graph, target: Target) -> Found:
    return (_match(o) for o in function.of("batch_norm") if o.out.rank == 5)
