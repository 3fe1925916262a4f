"""Each rule finds its fault in the smallest program that has it, and not in the fixed twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.lint_programs import I32, F, H, Twin, half, listed, mb, ranged, rms, weights

from zoo.formats.coreml.lint import package as special
from zoo.formats.coreml.lint.report import lint_package
from zoo.formats.coreml.lint.rule import Target
from zoo.formats.coreml.lint.rules import BY_ID, RULES
from zoo.formats.coreml.lint.targets import TARGETS, read_target

X = {"x": (H, 1, 8)}
MASK = {"x": (H, 1, 1, 4, 4)}
IMAGE = {"x": (H, 1, 4, 16, 16)}


def stable_softplus(x: Any) -> Any:
    magnitude = mb.mul(x=mb.abs(x=x), y=half(-1))
    tail = mb.log(x=mb.add(x=mb.exp(x=magnitude), y=half(1)), epsilon=half(1e-4))
    return mb.add(x=mb.relu(x=x), y=tail)


def log_sum(x: Any, guarded: bool) -> Any:
    given = mb.sub(x=x, y=mb.reduce_max(x=x, axes=[-1], keep_dims=True)) if guarded else x
    total = mb.reduce_sum(x=mb.exp(x=given), axes=[-1], keep_dims=True)
    return mb.log(x=total, epsilon=half(1e-4))


def layer_norm_twice(x: Any) -> Any:
    both = mb.concat(values=[x, mb.mul(x=x, y=half(-1))], axis=-1)
    return mb.layer_norm(x=both, axes=[-1], epsilon=half(1e-4))


def island(x: Any) -> Any:
    return mb.cast(x=rms(mb.cast(x=x, dtype="fp32")), dtype="fp16")


def rescaled(x: Any, fixed: bool) -> Any:
    largest = mb.reduce_max(x=mb.abs(x=x), axes=[-1], keep_dims=True)
    scaled = mb.real_div(x=x, y=largest)
    mean = mb.reduce_mean(x=mb.square(x=scaled), axes=[-1], keep_dims=True)
    squared = mb.mul(x=largest, y=largest)
    epsilon = mb.real_div(x=half(1e-4), y=squared) if fixed else half(1e-4)
    return mb.mul(x=scaled, y=mb.rsqrt(x=mb.add(x=mean, y=epsilon), epsilon=half(1e-4)))


def masked(value: float, dtype: Any = np.float16) -> Any:
    def build(x: Any) -> Any:
        mask = mb.const(val=np.full((1, 1, 4, 4), value, dtype))
        if dtype is np.float32:
            mask = mb.cast(x=mask, dtype="fp16")
        return mb.softmax(x=mb.add(x=x, y=mask), axis=-1)

    return build


def norm(epsilon: float) -> Any:
    return lambda x: mb.layer_norm(x=x, axes=[-1], epsilon=half(epsilon))


def scaled_weight(*scale: int) -> Any:
    def build(x: Any) -> Any:
        weight = mb.constexpr_blockwise_shift_scale(
            data=np.ones((4, 8), np.int8), scale=np.ones(scale, np.float16)
        )
        return mb.linear(x=x, weight=weight)

    return build


def table(entries: int, groups: int = 1) -> Any:
    bits = {16: "uint4", 64: "uint6", 256: "uint8"}[entries]
    from coremltools.converters.mil.mil import types

    kind = types.np_uint4_dtype if bits == "uint4" else types.np_uint6_dtype
    indices = np.zeros((8, 8), np.uint8).astype(kind)
    return mb.constexpr_lut_to_dense(
        indices=indices, lut=np.ones((groups, 1, entries, 1), np.float16)
    )


def attended(make: Any) -> Any:
    """A linear layer beside fused attention."""

    def build(x: Any) -> Any:
        y = mb.linear(x=x, weight=make())
        return mb.scaled_dot_product_attention(query=y, key=y, value=y)

    return build


def attention(fused: bool) -> Any:
    def build(x: Any) -> Any:
        if fused:
            y = mb.scaled_dot_product_attention(query=x, key=x, value=x)
        else:
            scores = mb.add(x=mb.matmul(x=x, y=x, transpose_y=True), y=half(0.5))
            y = mb.matmul(x=mb.softmax(x=scores, axis=-1), y=x)
        return mb.linear(x=y, weight=weights(4, 8))

    return build


def phase(fixed: bool) -> Any:
    def build(x: Any) -> Any:
        divided = mb.real_div(x=x, y=half(3))
        return mb.sub(x=divided, y=mb.floor(x=divided)) if fixed else mb.mod(x=divided, y=half(1))

    return build


def argmax(cast: bool) -> Any:
    def build(x: Any) -> Any:
        return mb.reduce_argmax(x=mb.cast(x=x, dtype="fp32") if cast else x, axis=-1)

    return build


def hardswish(rank: int) -> Any:
    def build(x: Any) -> Any:
        y = mb.linear(x=x, weight=weights(8, 8))
        if rank == 4:
            y = mb.reshape(x=mb.reshape(x=y, shape=[1, 1, 1, 8]), shape=[1, 1, 1, 8])
            y = mb.relu(x=y)
        return mb.mul(x=y, y=mb.sigmoid_hard(x=y, alpha=half(1 / 6), beta=half(0.5)))

    return build


def spectrum(x: Any) -> Any:
    return mb.log(
        x=mb.add(x=mb.matmul(x=mb.square(x=x), y=weights(8, 8)), y=half(1e-4)), epsilon=half(1e-4)
    )


def magnitudes(x: Any) -> Any:
    return mb.log(
        x=mb.add(x=mb.matmul(x=mb.abs(x=x), y=weights(8, 8)), y=half(1e-4)), epsilon=half(1e-4)
    )


def convolution(kernel: tuple[int, ...] = (3, 3), groups: int = 1, **more: Any) -> Any:
    def build(x: Any) -> Any:
        return mb.conv(
            x=x, weight=weights(4, 4 // groups, *kernel), pad_type="same", groups=groups, **more
        )

    return build


def looked_up(rows: int) -> Any:
    def build(x: Any) -> Any:
        return mb.gather(x=weights(rows, 1), indices=mb.cast(x=x, dtype="int16"), axis=0)

    return build


def updated(rank: int) -> Any:
    shape, begin = [1] * (rank - 1) + [32], [0] * rank

    def build(x: Any) -> Any:
        return mb.slice_update(x=x, update=half(np.ones(shape)), begin=begin, end=shape)

    return build


def written(constant: bool, view: bool = False) -> Any:
    def build(position: Any, cache: Any) -> Any:
        kept = mb.read_state(input=cache)
        if view:
            kept = mb.transpose(x=kept, perm=[1, 0])
            made = mb.transpose(x=mb.add(x=kept, y=half(1)), perm=[1, 0])
            mb.coreml_update_state(state=cache, value=made)
            return mb.relu(x=kept)
        begin = [0, 0] if constant else mb.concat(values=[position, np.int32([0])], axis=0)
        row = half(np.ones((1, 32)))
        end = [1, 32] if constant else mb.add(x=begin, y=np.int32([1, 32]))
        made = mb.slice_update(x=kept, update=row, begin=begin, end=end)
        mb.coreml_update_state(state=cache, value=made)
        return mb.identity(x=made)

    return build


def grown(x: Any, cache: Any) -> Any:
    made = mb.add(x=mb.read_state(input=cache), y=half(1))
    mb.coreml_update_state(state=cache, value=made)
    return mb.add(x=x, y=half(1))


def widened(to: int) -> Any:
    return lambda x: mb.tile(x=x, reps=[1, to // 8])


def pooled(kernel: int) -> Any:
    return lambda x: mb.max_pool(
        x=x, kernel_sizes=[kernel, kernel], strides=[1, 1], pad_type="same"
    )


def enlarged(factor: int) -> Any:
    return lambda x: mb.upsample_nearest_neighbor(
        x=x, scale_factor_height=factor, scale_factor_width=factor
    )


def recurrent(x: Any) -> Any:
    state = np.zeros((1, 4), np.float32)
    return mb.lstm(
        x=x, initial_h=state, initial_c=state, weight_ih=np.ones((16, 8), np.float32),
        weight_hh=np.ones((16, 4), np.float32),
    )[0]  # fmt: skip


def sampled(x: Any) -> Any:
    return mb.resample(
        x=x, coordinates=np.zeros((1, 4, 4, 2), np.float32), sampling_mode="bilinear",
        padding_mode="constant", padding_value=0.0, coordinates_mode="normalized_minus_one_to_one",
        align_corners=True,
    )  # fmt: skip


def plain(x: Any) -> Any:
    return mb.add(x=x, y=half(1))


def wide(x: Any) -> Any:
    return mb.cast(x=mb.exp(x=mb.cast(x=mb.relu(x=plain(x)), dtype="fp32")), dtype="fp16")


def turned(fused: bool) -> Any:
    def build(x: Any) -> Any:
        if fused:
            return mb.scaled_dot_product_attention(query=x, key=x, value=x)
        scores = mb.softmax(x=mb.matmul(x=x, y=x, transpose_y=True), axis=-1)
        return mb.matmul(x=mb.transpose(x=x, perm=[0, 2, 1]), y=scores, transpose_y=True)

    return build


def rename_output(spec: Any) -> None:
    """Give the output the name of the input, as some converters do."""
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    block.outputs[0] = "x"
    spec.description.output[0].name = "x"


def one_axis_more(spec: Any) -> None:
    """Write a rank that coremltools refuses to write, and other tools do not."""
    function = spec.mlProgram.functions["main"]
    made = function.block_specializations[function.opset].operations[-1].outputs[0]
    made.type.tensorType.dimensions.add().constant.size = 1
    made.type.tensorType.rank = 6


def heavy(gigabytes: float) -> Any:
    """Claim that the first constant of `weight.bin` has so many bytes."""

    def edit(spec: Any) -> None:
        function = spec.mlProgram.functions["main"]
        for op in function.block_specializations[function.opset].operations:
            value = op.attributes.get("val")
            if value is not None and value.WhichOneof("value") == "blobFileValue":
                value.type.tensorType.dimensions[0].constant.size = int(gigabytes * (1 << 29) / 64)
                return
        raise AssertionError("no constant in weight.bin")

    return edit


def weighed(x: Any) -> Any:
    return mb.linear(x=x, weight=weights(64, 64))


def gathered(x: Any) -> Any:
    head = mb.linear(x=x, weight=weights(4096, 8))
    return mb.identity(x=head)


def selected(x: Any) -> Any:
    return mb.linear(x=mb.gather(x=x, indices=np.int32([0]), axis=1), weight=weights(4096, 8))


def many(count: int) -> Any:
    """Add copies of the function under other names."""

    def edit(spec: Any) -> None:
        from copy import deepcopy

        first = deepcopy(spec.mlProgram.functions["main"])
        for number in range(count - 1):
            spec.mlProgram.functions[f"f{number}"].CopyFrom(first)

    return edit


def recommended(spec: Any) -> None:
    spec.description.metadata.userDefined["zoo.compute_units"] = "CPU_AND_GPU"


def by_another_version(spec: Any) -> None:
    spec.description.metadata.userDefined["com.github.apple.coremltools.version"] = "8.3"


def half_spread(x: Any) -> Any:
    """Twenty-six regions, with an operation of the CPU between them."""
    for _ in range(26):
        x = mb.add(x=mb.gather(x=mb.relu(x=x), indices=np.int32([0]), axis=0), y=half(1))
    return x


def state_model(make: Any) -> Any:
    def build(x: Any, cache: Any) -> Any:
        mb.coreml_update_state(state=cache, value=plain(mb.read_state(input=cache)))
        return mb.linear(x=x, weight=make())

    return build


POSITION = {"position": (I32, 1)}
CACHE = {"states": {"cache": (4, 32)}}
RANGE = {"x": ranged("x", 1, (1, 64))}
FIXED = {"x": (H, 1, 64)}
TWINS: dict[str, tuple[Twin, Twin]] = {
    "N1": (Twin(lambda x: mb.softplus(x=x), **X), Twin(stable_softplus, **X)),
    "N2": (
        Twin(lambda x: mb.reduce_log_sum_exp(x=x, axes=[-1], keep_dims=True), **X),
        Twin(lambda x: log_sum(x, True), **X),
    ),
    "N3": (Twin(lambda x: log_sum(x, False), **X), Twin(lambda x: log_sum(x, True), **X)),
    "N4": (Twin(rms, **X), Twin(layer_norm_twice, **X)),
    "N5": (Twin(island, **X), Twin(layer_norm_twice, **X)),
    "N6": (Twin(lambda x: rescaled(x, False), **X), Twin(lambda x: rescaled(x, True), **X)),
    "N7": (Twin(masked(-3.4e38, np.float32), **MASK), Twin(masked(-4e4, np.float32), **MASK)),
    "N8": (Twin(masked(-np.inf), **MASK), Twin(masked(-4e4), **MASK)),
    "N9": (Twin(masked(-65504), **MASK), Twin(masked(-4e4), **MASK)),
    "N10": (Twin(norm(1e-12), **X), Twin(norm(1e-4), **X)),
    "N11": (Twin(scaled_weight(4, 2), **X), Twin(scaled_weight(4, 1), **X)),
    "N12": (Twin(scaled_weight(4, 1), **X), Twin(scaled_weight(4, 2), **X)),
    "N13": (
        Twin(attended(lambda: table(16)), x=(H, 1, 4, 8)),
        Twin(attended(lambda: table(16, 4)), x=(H, 1, 4, 8)),
    ),
    "N14": (Twin(attention(False), x=(H, 12, 4, 8)), Twin(attention(False), x=(H, 2, 4, 8))),
    "N15": (Twin(phase(False), **X), Twin(phase(True), **X)),
    "N16": (Twin(lambda x: mb.floor(x=x), **X), Twin(plain, **X)),
    "N17": (Twin(argmax(False), **X), Twin(argmax(True), **X)),
    "N19": (Twin(hardswish(2), **X), Twin(hardswish(4), **X)),
    "N20": (
        Twin(lambda x: mb.cast(x=mb.not_equal(x=x, y=x), dtype="fp16"), **X),
        Twin(lambda x: mb.cast(x=mb.not_equal(x=x, y=half(0)), dtype="fp16"), **X),
    ),
    "N21": (
        Twin(lambda x: mb.conv_transpose(x=x, weight=weights(4, 4, 3)), x=(H, 1, 4, 16)),
        Twin(lambda x: mb.conv_transpose(x=x, weight=weights(4, 4, 3, 3)), **IMAGE),
    ),
    "N23": (Twin(spectrum, **X), Twin(magnitudes, **X)),
    "N26": (Twin(convolution(strides=[5, 5]), **IMAGE), Twin(convolution(strides=[6, 6]), **IMAGE)),
    "N27": (Twin(looked_up(32769), x=(I32, 2)), Twin(looked_up(32767), x=(I32, 2))),
    "N28": (
        Twin(
            lambda x: mb.batch_norm(
                x=x, mean=half([0] * 4), variance=half([1] * 4), epsilon=half(1e-4)
            ),
            x=(H, 1, 4, 2, 2, 2),
        ),
        Twin(
            lambda x: mb.batch_norm(
                x=x, mean=half([0] * 4), variance=half([1] * 4), epsilon=half(1e-4)
            ),
            **IMAGE,
        ),
    ),
    "A1": (
        Twin(lambda x: mb.reshape(x=plain(x), shape=[1, 1, 2, 2, 2]), **X, edit=one_axis_more),
        Twin(lambda x: mb.reshape(x=plain(x), shape=[1, 1, 2, 2, 2]), **X),
    ),
    "A2": (Twin(updated(5), x=(H, 1, 1, 1, 4, 32)), Twin(updated(4), x=(H, 1, 1, 4, 32))),
    "A3": (Twin(written(False), **POSITION, **CACHE), Twin(written(True), **POSITION, **CACHE)),
    "A4": (
        Twin(grown, x=(H, 1, 32), states={"cache": (1, 20)}),
        Twin(grown, x=(H, 1, 32), states={"cache": (1, 32)}),
    ),
    "A5": (Twin(plain, **RANGE), Twin(plain, **FIXED)),
    "A6": (Twin(plain, x=listed("x", (1, 32), (1, 64))), Twin(plain, **FIXED)),
    "A7": (
        Twin(norm(1e-4), x=listed("x", (1, 32, 8), (1, 64, 8))),
        Twin(norm(1e-4), x=ranged("x", 1, (32, 64), 8)),
    ),
    "A8": (
        Twin(
            lambda x, y: (plain(x), mb.relu(x=y)),
            x=listed("x", (1, 32), (1, 64)),
            y=listed("y", (1, 32), (1, 64)),
        ),
        Twin(
            lambda x, y: (plain(x), mb.relu(x=y)),
            x=listed("x", (1, 32), (1, 64)),
            y=ranged("y", 1, 32),
        ),
    ),
    "A9": (
        Twin(plain, x=listed("x", (1, 32), (2, 32))),
        Twin(plain, x=listed("x", (1, 32), (1, 64))),
    ),
    "A10": (Twin(widened(16392), **X), Twin(widened(16384), **X)),
    "A11": (Twin(widened(65544), **X), Twin(widened(65536), **X)),
    "A12": (
        Twin(weighed, x=(H, 1, 64), edit=heavy(2.5)),
        Twin(weighed, x=(H, 1, 64), edit=heavy(1.5)),
    ),
    "A13": (
        Twin(weighed, x=(H, 1, 64), edit=heavy(1.5)),
        Twin(weighed, x=(H, 1, 64), edit=heavy(0.5)),
    ),
    "A15": (Twin(wide, **X), Twin(lambda x: mb.exp(x=mb.relu(x=plain(x))), **X)),
    "A16": (Twin(plain, x=(H, 64, 1)), Twin(plain, x=(H, 1, 64))),
    "A17": (Twin(pooled(15), **IMAGE), Twin(pooled(13), **IMAGE)),
    "A18": (Twin(enlarged(4), **IMAGE), Twin(enlarged(2), **IMAGE)),
    "A19": (
        Twin(convolution(dilations=[5, 5]), **IMAGE),
        Twin(convolution(dilations=[4, 4]), **IMAGE),
    ),
    "A20": (Twin(recurrent, x=(F, 4, 1, 8)), Twin(lambda x: mb.relu(x=x), x=(F, 4, 1, 8))),
    "A21": (
        Twin(lambda x: mb.gather(x=x, indices=np.int32([1]), axis=1), **X),
        Twin(lambda x: mb.slice_by_index(x=plain(x), begin=[0, 1], end=[1, 2]), **X),
    ),
    "A22": (Twin(sampled, x=(F, 1, 4, 8, 8)), Twin(enlarged(2), x=(F, 1, 4, 8, 8))),
    "A23": (Twin(lambda x: mb.sin(x=x), **X), Twin(lambda x: mb.tanh(x=x), **X)),
    "A26": (Twin(weighed, x=(H, 1, 4, 64)), Twin(convolution((1, 1)), **IMAGE)),
    "A27": (Twin(half_spread, **X), Twin(plain, **X)),
    "L1": (Twin(plain, **X, edit=rename_output), Twin(plain, **X)),
    "L2": (
        Twin(
            lambda x: mb.linear(
                x=x,
                weight=mb.constexpr_blockwise_shift_scale(
                    data=table(16), scale=np.ones((8, 1), np.float16)
                ),
            ),
            **X,
        ),
        Twin(lambda x: mb.linear(x=x, weight=table(16)), **X),
    ),
    "L3": (
        Twin(state_model(lambda: table(16)), **X, **CACHE),
        Twin(state_model(lambda: table(64)), **X, **CACHE),
    ),
    "L4": (Twin(turned(False), x=(H, 1, 4, 8)), Twin(turned(True), x=(H, 1, 4, 8))),
    "L6": (
        Twin(
            lambda x: mb.reduce_mean(x=x, axes=[-1]),
            x=ranged("x", 1, (2, 8), dtype=F),
            system=15,
        ),
        Twin(
            lambda x: mb.reduce_mean(x=x, axes=[-1]),
            x=ranged("x", 1, (2, 8), dtype=F),
            system=16,
        ),
    ),
    "L7": (
        Twin(
            lambda x: mb.slice_by_index(x=x, begin=[0, 8], end=[1, 64], end_mask=[False, True]),
            x=ranged("x", 1, (1, 64)),
        ),
        Twin(
            lambda x: mb.slice_by_index(x=x, begin=[0, 8], end=[1, 64], end_mask=[False, True]),
            x=ranged("x", 1, (16, 64)),
        ),
    ),
    "L8": (Twin(plain, **X, system=18), Twin(plain, **X, system=16)),
    "L11": (
        Twin(written(True, view=True), **POSITION, **CACHE),
        Twin(written(True), **POSITION, **CACHE),
    ),
    "L12": (
        Twin(written(True), **POSITION, **CACHE),
        Twin(written(True), **POSITION, **CACHE, edit=recommended),
    ),
    "L13": (Twin(plain, **X, edit=many(9)), Twin(plain, **X, edit=many(8))),
    "L15": (
        Twin(weighed, x=(H, 1, 64), edit=heavy(2.5)),
        Twin(weighed, x=(H, 1, 64), edit=heavy(1.5)),
    ),
    "L16": (
        Twin(weighed, x=(H, 1, 64), edit=heavy(2.5)),
        Twin(weighed, x=(H, 1, 64), edit=heavy(1.5)),
    ),
    "L17": (Twin(gathered, x=(H, 1, 4, 8)), Twin(selected, x=(H, 1, 4, 8))),
    "L18": (Twin(plain, x=ranged("x", 1, (1, 4096))), Twin(plain, x=ranged("x", 1, (1, 1024)))),
    "L20": (
        Twin(convolution((1, 1, 1)), x=(H, 1, 4, 128, 128, 128)),
        Twin(convolution((1, 1, 1)), x=(H, 1, 4, 64, 128, 128)),
    ),
    "L21": (
        Twin(convolution((3,), groups=2, dilations=[2], strides=[8]), x=(H, 1, 4, 64)),
        Twin(convolution((3,), groups=1, dilations=[2], strides=[8]), x=(H, 1, 4, 64)),
    ),
    "L22": (
        Twin(turned(True), x=(H, 1, 4, 8)),
        Twin(turned(True), x=(F, 1, 4, 8)),
    ),
    "L25": (
        Twin(grown, **RANGE, states={"cache": (2048, 32)}),
        Twin(grown, **RANGE, states={"cache": (1024, 32)}),
    ),
    "L26": (
        Twin(grown, x=ranged("x", 1, (1, 64)), states={"cache": (4, 32)}),
        Twin(grown, x=ranged("x", 1, (1, 16)), states={"cache": (4, 32)}),
    ),
}
ANYWHERE = read_target("any")
NARROW: dict[str, Target] = {"L8": read_target("iphone", "ios16"), "L6": ANYWHERE}


def found(twin: Twin, rule: str, folder: Path) -> list[str]:
    package = twin.save(folder / "model.mlpackage")
    report = lint_package(package, NARROW.get(rule, ANYWHERE), rules=[BY_ID[rule]])
    return [finding.id for finding in report.findings]


def test_every_rule_has_twins():
    assert set(TWINS) == set(BY_ID)
    assert len(RULES) == len(BY_ID)


@pytest.mark.parametrize("rule", BY_ID)
def test_a_rule_finds_its_fault_and_not_its_fixed_twin(rule, tmp_path):
    faulty, fixed = TWINS[rule]
    (tmp_path / "faulty").mkdir()
    (tmp_path / "fixed").mkdir()
    assert found(faulty, rule, tmp_path / "faulty") == [rule]
    assert found(fixed, rule, tmp_path / "fixed") == []


def test_rules_hold_for_their_devices_only():
    phone, mac = TARGETS["iphone-neural-engine"], TARGETS["mac-gpu"]
    assert BY_ID["N5"].holds_for(phone)
    assert not BY_ID["N5"].holds_for(mac)
    assert not BY_ID["N14"].holds_for(read_target("mac-gpu", "macos15"))
    assert BY_ID["N14"].holds_for(read_target("mac-gpu", "macos26"))


@pytest.mark.parametrize("rule", [*RULES, special.COMPILED, special.PIPELINE], ids=lambda r: r.id)
def test_a_rule_says_what_why_and_where_from(rule):
    assert rule.source.startswith("https://github.com/")
    assert rule.outcome.endswith(".")
    assert rule.remedy.endswith(".")
    assert rule.trust in (1, 2, 3)
