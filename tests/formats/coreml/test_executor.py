"""The reference executor: rounding, states, functions, and packages that are not as they seem."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.coreml_programs import ct, mb, run, save, types, uniform, write

import zoo
from zoo.formats.coreml.execute.program import Functions, ReferenceProgram
from zoo.formats.coreml.package.proto import MODEL_FILE, WEIGHT_FILE
from zoo.formats.coreml.package.reader import Package

A = uniform(2, 3, 8)


def test_fp16_shows_the_overflow_that_fp32_hides(tmp_path):
    """A norm of numbers above 256: their squares are beyond float16, as on a phone."""
    package = write(
        tmp_path / "norm.mlpackage",
        lambda x: mb.mul(
            x=x,
            y=mb.rsqrt(
                x=mb.reduce_mean(x=mb.mul(x=x, y=x), axes=[-1], keep_dims=True),
                epsilon=np.float16(1e-5),
            ),
        ),
        (1, 8),
        half=True,
    )
    x = np.full((1, 8), 300, np.float16)
    np.testing.assert_allclose(run(package, x, mode="fp32")[0], 1, rtol=1e-3)
    assert run(package, x, mode="fp16")[0].max() == 0


def test_fp16_rounds_every_result(tmp_path):
    package = write(
        tmp_path / "m.mlpackage",
        lambda x: mb.sub(x=mb.add(x=x, y=np.float16(2048)), y=np.float16(2048)),
        (3,),
        half=True,
    )
    x = np.array([0.4, 1.0, 1.6], np.float16)
    np.testing.assert_allclose(run(package, x, mode="fp32")[0], x)
    np.testing.assert_allclose(run(package, x, mode="fp16")[0], [0, 0, 2])  # in steps of 2


def stateful(build: Callable[[Any, Any], Any], package: Path) -> ReferenceProgram:
    specs = [mb.TensorSpec((2,), dtype=types.fp16), mb.StateTensorSpec((4,), dtype=types.fp16)]
    program = mb.program(input_specs=specs, opset_version=ct.target.iOS18)(build)
    return ReferenceProgram(save(program, package))


def put(state: Any, x: Any, at: int) -> Any:
    updated = mb.slice_update(x=mb.read_state(input=state), update=x, begin=[at], end=[at + 2])
    return mb.coreml_update_state(state=state, value=updated)


def test_a_state_lasts_from_call_to_call_and_is_ones_own(tmp_path):
    program = stateful(
        lambda x, s: mb.reduce_sum(x=put(s, x, 1), axes=[0]), tmp_path / "m.mlpackage"
    )
    one, other = program.make_state(), program.make_state()
    program.predict({"x": np.array([1, 2], np.float16)}, one)
    np.testing.assert_array_equal(one["s"], [0, 1, 2, 0])
    np.testing.assert_array_equal(other["s"], np.zeros(4))
    with pytest.raises(zoo.InputError, match="needs a state"):
        program.predict({"x": np.array([1, 2], np.float16)})


def test_what_was_read_before_an_update_stays_as_it_was(tmp_path):
    def build(x, s):
        before = mb.identity(x=mb.read_state(input=s))
        after = put(s, x, 0)
        return mb.sub(x=after, y=before)

    program = stateful(build, tmp_path / "m.mlpackage")
    state = program.make_state()
    x = np.array([3, 4], np.float16)
    assert next(iter(program.predict({"x": x}, state).values())).tolist() == [3, 4, 0, 0]
    assert next(iter(program.predict({"x": x}, state).values())).tolist() == [0, 0, 0, 0]


def test_an_update_that_is_not_kept_does_not_change_the_state(tmp_path):
    def build(x, s):
        tried = mb.slice_update(x=mb.read_state(input=s), update=x, begin=[0], end=[2])
        return mb.add(x=tried, y=mb.read_state(input=s))

    program = stateful(build, tmp_path / "m.mlpackage")
    state = program.make_state()
    found = program.predict({"x": np.array([3, 4], np.float16)}, state)
    assert next(iter(found.values())).tolist() == [3, 4, 0, 0]
    assert state["s"].tolist() == [0, 0, 0, 0]


def test_an_operation_that_is_not_known_is_named(tmp_path):
    package = write(tmp_path / "m.mlpackage", lambda x: mb.atanh(x=x), (2,))
    with pytest.raises(
        zoo.IntegrityError, match=r"the operation 'atanh' of .* is not known"
    ) as caught:
        ReferenceProgram(package)
    assert "Mac" in caught.value.hint


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "needs the input 'x'"),
        ({"x": np.zeros((2, 3, 8)), "z": np.zeros(1)}, "has no input 'z'"),
        ({"x": np.zeros((2, 3, 7))}, r"takes 'x' of shape \(2, 3, 8\), not \(2, 3, 7\)"),
        ({"x": np.zeros((3, 8))}, r"not \(3, 8\)"),
    ],
)
def test_wrong_inputs_are_named(tmp_path, inputs, words):
    program = ReferenceProgram(write(tmp_path / "m.mlpackage", lambda x: mb.abs(x=x), A.shape))
    with pytest.raises(zoo.InputError, match=words):
        program.predict(inputs)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    weight = uniform(32, 64)
    return write(folder / "m.mlpackage", lambda x: mb.linear(x=x, weight=weight), (1, 64))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def point_elsewhere(package: Path, path: str) -> None:
    manifest = package / "Manifest.json"
    data = json.loads(manifest.read_text())
    for entry in data["itemInfoEntries"].values():
        entry["path"] = path
    manifest.write_text(json.dumps(data))


DAMAGE = {
    "weights cut": (lambda p: cut(p / WEIGHT_FILE, 4000), "cut short|no constant at"),
    "weights gone": (lambda p: (p / WEIGHT_FILE).unlink(), "cannot be read"),
    "weights empty": (lambda p: cut(p / WEIGHT_FILE, 0), "cannot be read"),
    "weights zeroed": (lambda p: (p / WEIGHT_FILE).write_bytes(bytes(20_000)), "no constant at"),
    "model cut": (lambda p: cut(p / MODEL_FILE, 300), "cannot be read|holds no ML program"),
    "model gone": (lambda p: (p / MODEL_FILE).unlink(), "cannot be read"),
    "model is text": (
        lambda p: (p / MODEL_FILE).write_text("<html>"),
        "cannot be read|no ML program",
    ),
    "manifest gone": (lambda p: (p / "Manifest.json").unlink(), "Manifest.json cannot be read"),
    "manifest cut": (lambda p: cut(p / "Manifest.json", 20), "Manifest.json cannot be read"),
    "manifest leads out": (lambda p: point_elsewhere(p, "../../../etc/passwd"), "outside"),
    "manifest leads nowhere": (lambda p: point_elsewhere(p, "none"), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_package_is_refused(sound, tmp_path, damage):
    package = shutil.copytree(sound, tmp_path / "m.mlpackage")
    ReferenceProgram(package)
    inflict, words = DAMAGE[damage]
    inflict(package)
    with pytest.raises(zoo.IntegrityError, match=words):
        ReferenceProgram(package)


def test_weights_outside_of_the_package_are_refused(sound, tmp_path):
    package = shutil.copytree(sound, tmp_path / "m.mlpackage")
    spec = Package(package).spec
    function = spec.mlProgram.functions["main"]
    for operation in function.block_specializations[function.opset].operations:
        value = operation.attributes["val"]
        if value.WhichOneof("value") == "blobFileValue":
            value.blobFileValue.fileName = "@model_path/../../../../secret"
    (package / MODEL_FILE).write_bytes(spec.SerializeToString())
    with pytest.raises(zoo.IntegrityError, match="outside"):
        ReferenceProgram(package)


def times(factor: int) -> Callable[[Any], Any]:
    return lambda x: mb.mul(x=x, y=np.float32(factor))


def write_twice_and_thrice(folder: Path) -> Path:
    """A package with the functions `twice` and `thrice`, of which `thrice` is the default."""
    parts = [write(folder / f"{n}.mlpackage", times(n), (2,)) for n in (2, 3)]
    descriptor = ct.utils.MultiFunctionDescriptor()
    for name, part in zip(("twice", "thrice"), parts, strict=True):
        descriptor.add_function(str(part), "main", name)
    descriptor.default_function_name = "thrice"
    both = folder / "both.mlpackage"
    ct.utils.save_multifunction(descriptor, str(both))
    return both


def test_functions_are_chosen_by_name(tmp_path):
    both = write_twice_and_thrice(tmp_path)
    x = np.ones(2, np.float32)
    for name, factor in ((None, 3), ("twice", 2), ("thrice", 3)):
        program = ReferenceProgram(both, function=name)
        np.testing.assert_array_equal(next(iter(program.predict({"x": x}).values())), factor * x)
    with pytest.raises(zoo.NotFound, match=r"no function 'once'; it has thrice, twice"):
        ReferenceProgram(both, function="once")


def test_a_package_is_refused_for_any_of_its_functions(tmp_path):
    both = write_twice_and_thrice(tmp_path)
    assert Functions(both).names == ["thrice", "twice"]
    opened = Package(both)
    opened.function("twice")[1].operations[-1].type = "while_loop"
    (both / MODEL_FILE).write_bytes(opened.spec.SerializeToString())
    with pytest.raises(zoo.IntegrityError, match=r"'while_loop' .* is not known"):
        Functions(both)
