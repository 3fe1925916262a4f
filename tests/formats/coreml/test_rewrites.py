"""Several operations that the executor computes in one step: the same numbers, bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import formats.test_text_models as mistral_checkpoint
import numpy as np
import pytest
import torch
from formats.coreml.test_hostile_programs import changed
from worlds import openelm_checkpoint
from worlds.coreml_builds import make_build
from worlds.coreml_programs import ct, mb, save, types, uniform

import zoo
import zoo_mistral.coreml
import zoo_openelm.coreml
from zoo.formats.coreml.execute import rewrites
from zoo.formats.coreml.execute.kernels import fused
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo_openelm.coreml import OpenELMCoreMLTextModel

MODES = ["fp16", "fp32"]


@pytest.fixture
def kinds(monkeypatch) -> Counter[str]:
    """The operations that are left of the programs that a test opens."""
    found, rewritten = Counter[str](), rewrites.rewritten

    def counted(*given: Any) -> Any:
        steps = rewritten(*given)
        found.update(step.kind for step in steps)
        return steps

    monkeypatch.setattr(rewrites, "rewritten", counted)
    return found


def as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrites, "rewritten", lambda steps, *_: [*steps])


MISTRAL = mistral_checkpoint.make, zoo_mistral.coreml, CoreMLTextModel
OPENELM = openelm_checkpoint.make, zoo_openelm.coreml, OpenELMCoreMLTextModel
MODELS = {
    "mistral": (*MISTRAL, {}, 5, 4),
    "mistral-all-key-heads": (*MISTRAL, {"num_key_value_heads": 4}, 5, 4),
    "openelm": (*OPENELM, {}, 13, 6),
    "openelm-no-qk-norm": (*OPENELM, {"normalize_qk_projections": False}, 7, 6),
}
"""With the norms and the rotations of all layers."""


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_the_same_numbers_in_fewer_steps(tmp_path, monkeypatch, kinds, name):
    make, plugin, model_type, changes, norms, rotations = MODELS[name]
    build = make_build(plugin, make(tmp_path / "source", **changes), tmp_path)
    prompt = list(range(20, 60))

    def results(mode: Any) -> tuple[np.ndarray, list[int]]:
        with model_type.load(build, mode=mode) as model:
            written = list(model.tokens(prompt, zoo.Sampling(max_tokens=8)))
            return model.logits([*prompt, *written]), written

    found = [results(mode) for mode in MODES]
    assert kinds["rms_norm"] == norms * len(MODES)
    assert kinds["rotation"] == rotations * len(MODES)
    assert not kinds.keys() & {"rsqrt", "reduce_mean", "tile"}
    as_written(monkeypatch)
    for (logits, written), mode in zip(found, MODES, strict=True):
        same_logits, same_written = results(mode)
        np.testing.assert_array_equal(logits, same_logits)
        assert written == same_written


def norm(x: Any, *, axis: int = -1, half: bool = False) -> dict[str, Any]:
    """The results of each step of a norm of (1, 3, 8), by name."""
    named = {"wide": x if half else mb.cast(x=x, dtype="fp32")}
    named["square"] = mb.mul(x=named["wide"], y=named["wide"])
    named["mean"] = mb.reduce_mean(x=named["square"], axes=[axis], keep_dims=True)
    epsilon = np.float16(1e-3) if half else np.float32(1e-5)
    named["root"] = mb.rsqrt(x=named["mean"], epsilon=epsilon)
    named["scaled"] = mb.mul(x=named["root"], y=named["wide"])
    named["back"] = mb.cast(x=named["scaled"], dtype="fp16")
    named["whole"] = mb.mul(x=named["back"], y=uniform(8, low=0.3, high=3).astype(np.float16))
    return named


def beside(name: str) -> Callable[[Any], Any]:
    """A norm of which another operation reads an intermediate result."""

    def build(x: Any) -> Any:
        named = norm(x)
        return [named["whole"], mb.add(x=named[name], y=named[name])]

    return build


def with_weights_of_its_own(x: Any) -> Any:
    return mb.mul(x=norm(x)["back"], y=x)


def of_an_integer(x: Any) -> Any:
    return norm(mb.cast(x=x, dtype="int32"))["whole"]


NORMS = {
    "a norm": (lambda x: norm(x)["whole"], 1),
    "two norms": (lambda x: norm(norm(x)["whole"])["whole"], 2),
    "along another axis": (lambda x: norm(x, axis=1)["whole"], 0),
    "in float16": (lambda x: norm(x, half=True)["whole"], 0),
    "of integers": (of_an_integer, 0),
    "with other weights": (with_weights_of_its_own, 0),
    **{f"read: {name}": (beside(name), 0) for name in ("wide", "square", "root", "back")},
    "given out": (lambda x: [(named := norm(x))["whole"], named["mean"]], 0),
}
"""Programs, and how many norms are one step."""


def turned(x: Any, *, sign: float = -1, num_splits: int = 2) -> tuple[Any, ...]:
    """The results of each step of a rotation of (1, 3, 8)."""
    cos, sin = (
        mb.slice_by_size(x=uniform(*shape).astype(np.float16), begin=[0, 0], size=[3, 8])
        for shape in ((3, 8), (4, 8))
    )
    first, *_, last = mb.split(x=x, num_splits=num_splits, axis=-1)
    negated = mb.mul(x=last, y=np.float16(sign))
    joined = mb.concat(values=[negated, first], axis=-1)
    pair = mb.mul(x=joined, y=sin), mb.mul(x=cos, y=x)
    return first, negated, joined, pair, mb.add(x=pair[0], y=pair[1])


ROTATIONS = {
    "a rotation": (lambda x: turned(x)[-1], 1),
    "two rotations": (lambda x: turned(turned(x)[-1])[-1], 2),
    "not negated": (lambda x: turned(x, sign=-2)[-1], 0),
    "read: a half": (lambda x: [(named := turned(x))[-1], mb.sin(x=named[0])], 0),
    "read: the other half": (lambda x: [(named := turned(x))[-1], mb.sin(x=named[1])], 0),
    "given out": (lambda x: [(named := turned(x))[-1], named[2]], 0),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("kind", "case"),
    [("rms_norm", name) for name in NORMS] + [("rotation", name) for name in ROTATIONS],
)
def test_what_nothing_else_reads_is_one_step(tmp_path, monkeypatch, kinds, mode, kind, case):
    build, count = {"rms_norm": NORMS, "rotation": ROTATIONS}[kind][case]
    specs = [mb.TensorSpec((1, 3, 8), dtype=types.fp16)]
    program = mb.program(input_specs=specs, opset_version=ct.target.iOS18)(
        lambda x: build(mb.add(x=x, y=np.float16(0.5)))
    )
    package = save(program, tmp_path / "m.mlpackage")
    x = uniform(1, 3, 8, low=-9, high=9).astype(np.float16)
    found = ReferenceProgram(package, mode=mode).predict({"x": x})
    assert kinds[kind] == count
    as_written(monkeypatch)
    same = ReferenceProgram(package, mode=mode).predict({"x": x})
    assert found.keys() == same.keys()
    for name, value in same.items():
        np.testing.assert_array_equal(found[name], value)


def attention(keys: Any, query: Any, *, axis: int, change: Callable[[], Any] | None = None) -> Any:
    def repeated(x: Any) -> Any:
        reps = [2 if place == axis else 1 for place in range(5)]
        spread = mb.tile(x=mb.expand_dims(x=x, axes=[axis]), reps=reps)
        return mb.reshape(x=spread, shape=[1, 4, -1, 8])

    key, value = repeated(keys), repeated(mb.mul(x=keys, y=np.float16(0.5)))
    after = [change()] if change else []
    found = mb.scaled_dot_product_attention(query=query, key=key, value=value)
    return [found, *after]


def of_a_state(keys: Any, query: Any, cache: Any) -> Any:
    """The keys are those of a state before its update, which attention comes after."""
    before = mb.read_state(input=cache)

    def change() -> Any:
        updated = mb.slice_update(x=before, update=keys, begin=[0] * 4, end=[1, 2, 6, 8])
        return mb.identity(x=mb.coreml_update_state(state=cache, value=updated))

    return attention(before, query, axis=2, change=change)


def read_twice(keys: Any, query: Any) -> Any:
    """Attention twice with the same keys, which so stay."""
    spread = mb.tile(x=mb.expand_dims(x=keys, axes=[2]), reps=[1, 1, 2, 1, 1])
    key = mb.reshape(x=spread, shape=[1, 4, -1, 8])
    return [
        mb.scaled_dot_product_attention(query=query, key=key, value=value)
        for value in (key, mb.sin(x=key))
    ]


ATTENTIONS = {
    "shared": (lambda keys, query: attention(keys, query, axis=2), 0),
    "shared in another order": (lambda keys, query: attention(keys, query, axis=1), 2),
    "of a state before its update": (of_a_state, 0),
    "read twice": (read_twice, 1),
}
"""Programs, and how many of their two repetitions, or of their one, stay."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", ATTENTIONS)
def test_attention_shares_keys_that_a_program_repeats(tmp_path, monkeypatch, kinds, mode, case):
    build, tiles = ATTENTIONS[case]
    specs = [mb.TensorSpec((1, n, 6, 8), dtype=types.fp16) for n in (2, 4)]
    if build is of_a_state:
        specs.append(mb.StateTensorSpec((1, 2, 6, 8), dtype=types.fp16))
    program = mb.program(input_specs=specs, opset_version=ct.target.iOS18)(build)
    package = save(program, tmp_path / "m.mlpackage")
    given = {
        name: uniform(1, n, 6, 8).astype(np.float16) for name, n in (("keys", 2), ("query", 4))
    }

    def results() -> list[np.ndarray]:
        program = ReferenceProgram(package, mode=mode)
        state = program.make_state()
        runs = [program.predict(given, state) for _ in range(2)]
        return [value for found in runs for value in found.values()]

    found = results()
    assert kinds["tile"] == tiles
    as_written(monkeypatch)
    for one, same in zip(found, results(), strict=True):
        np.testing.assert_array_equal(one, same)


MANY = 1 << 18


def wide_norm(x: Any, y: Any) -> Any:
    wide = mb.cast(x=x, dtype="fp32")
    mean = mb.reduce_mean(x=mb.mul(x=wide, y=wide), axes=[-1], keep_dims=True)
    scaled = mb.mul(x=wide, y=mb.rsqrt(x=mean, epsilon=np.float32(0)))
    return mb.mul(x=mb.cast(x=scaled, dtype="fp16"), y=np.ones(MANY, np.float16))


def wide_rotation(x: Any, y: Any) -> Any:
    pair = mb.concat(values=[x, x], axis=-1)
    first, second = mb.split(x=pair, num_splits=2, axis=-1)
    joined = mb.concat(values=[mb.mul(x=second, y=np.float16(-1)), first], axis=-1)
    return mb.add(x=mb.mul(x=pair, y=y), y=mb.mul(x=joined, y=y))


@pytest.mark.parametrize(("build", "kind"), [(wide_norm, "rms_norm"), (wide_rotation, "rotation")])
def test_a_step_of_several_is_refused_before_it_takes_memory(tmp_path, kinds, build, kind):
    specs = [mb.TensorSpec(shape, dtype=types.fp16) for shape in ((MANY, 1), (MANY, 1, 1))]
    program = mb.program(input_specs=specs, opset_version=ct.target.iOS18)(
        lambda x, y: build(*(mb.add(x=one, y=np.float16(1)) for one in (x, y)))
    )
    package = save(program, tmp_path / "m.mlpackage")
    given = {"x": np.ones((MANY, 1), np.float16), "y": np.ones((MANY, 1, 1), np.float16)}
    with pytest.raises(zoo.IntegrityError, match=rf"'{kind}' .* the memory that is free"):
        ReferenceProgram(package).predict(given)
    assert kinds[kind] == 1


@pytest.mark.parametrize("heads", [4, 1 << 30])
def test_keys_for_more_heads_than_memory_holds_are_refused(heads):
    query, keys = torch.zeros(1, 1, 1, 8).expand(1, heads, 1, 8), torch.zeros(1, 2, 6, 8)
    shape = [1, 1 << 30, -1, 8]
    with pytest.raises(ValueError, match="the memory that is free"):
        fused.grouped_attention(query, keys, keys, None, times=1 << 29, shape=shape)


def test_a_program_in_which_a_name_has_two_values_is_left_as_it_is(tmp_path, kinds):
    def rename(_: Any, block: Any) -> None:
        block.operations[-1].outputs[0].name = block.outputs[0] = "x"

    specs = [mb.TensorSpec((1, 3, 8), dtype=types.fp16)]
    program = mb.program(input_specs=specs, opset_version=ct.target.iOS18)(
        lambda x: norm(mb.add(x=x, y=np.float16(0.5)))["whole"]
    )
    package = save(program, tmp_path / "m.mlpackage")
    given = {"x": uniform(1, 3, 8).astype(np.float16)}
    (wanted,) = ReferenceProgram(package).predict(given).values()
    assert (kinds["rms_norm"], kinds["rsqrt"]) == (1, 0)
    (found,) = ReferenceProgram(changed(package, rename)).predict(given).values()
    assert (kinds["rms_norm"], kinds["rsqrt"]) == (1, 1)
    np.testing.assert_array_equal(found, wanted)
