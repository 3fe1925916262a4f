"""Each rule finds its fault in the smallest program that has it, and not in the fixed twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from worlds.lint_builders import (
    argmax,
    attended,
    attention,
    convolution,
    enlarged,
    gathered,
    grown,
    half_spread,
    hardswish,
    heavy,
    island,
    layer_norm_twice,
    log_sum,
    looked_up,
    magnitudes,
    many,
    masked,
    norm,
    one_axis_more,
    phase,
    plain,
    pooled,
    recommended,
    recurrent,
    rename_output,
    rescaled,
    sampled,
    scaled_weight,
    selected,
    spectrum,
    stable_softplus,
    state_model,
    table,
    turned,
    updated,
    weighed,
    wide,
    widened,
    written,
)
from worlds.lint_programs import I32, F, H, Twin, half, listed, mb, ranged, rms, weights

from zoo.formats.coreml.lint import package as special
from zoo.formats.coreml.lint.report import lint_package
from zoo.formats.coreml.lint.rule import Target
from zoo.formats.coreml.lint.rules import BY_ID, RULES
from zoo.formats.coreml.lint.targets import TARGETS, read_target

X = {"x": (H, 1, 8)}
MASK = {"x": (H, 1, 1, 4, 4)}
IMAGE = {"x": (H, 1, 4, 16, 16)}


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
