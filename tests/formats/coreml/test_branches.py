"""Functions of a program for adapters, and a program in two chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from worlds import coreml_programs as programs
from worlds.coreml_programs import mb

import zoo
from zoo.formats.adapters import LowRank
from zoo.formats.coreml.convert.branches import add_branches
from zoo.formats.coreml.convert.chunks import split_package
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.package.proto import MODEL_FILE, WEIGHT_FILE, chunk_paths
from zoo.formats.coreml.package.proto import operations as operations_of
from zoo.formats.coreml.package.reader import Package

W, X = programs.uniform(12, 8), programs.uniform(2, 3, 8)
CHANGE = LowRank(  # of numbers that float16 holds
    *(programs.uniform(*shape).astype(np.float16).astype(np.float32) for shape in ((2, 8), (12, 2)))
)
LAYERS = {
    "linear": (lambda x, w: mb.linear(x=x, weight=w), W),
    "matmul": (lambda x, w: mb.matmul(x=x, y=w), W.T),
    "turned": (lambda x, w: mb.matmul(x=x, y=w, transpose_y=True), W),
    "conv": (lambda x, w: mb.conv(x=x, weight=w, bias=w.val[:, 0, 0]), W[:, :, None]),
}


def written(package: Path, build, weight: np.ndarray, shape: tuple[int, ...], half=False) -> Path:
    def body(x):
        return build(x, mb.const(val=weight.astype(np.float16 if half else np.float32), name="w"))

    return programs.write(package, body, shape, half=half)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_branch_adds_its_product(tmp_path, kind, half):
    build, weight = LAYERS[kind]
    x = X.transpose(0, 2, 1) if kind == "conv" else X
    package = written(tmp_path / "one.mlpackage", build, weight, x.shape, half)
    (plain,), program = programs.run(package, x), Package(package).function()[1]
    add_branches(package, {"style": {"w": CHANGE}})
    (styled,) = ReferenceProgram(package, function="style", mode="fp32").predict({"x": x}).values()
    added = X @ (CHANGE.up @ CHANGE.down).T
    wanted = plain + (added.transpose(0, 2, 1) if kind == "conv" else added)
    assert Package(package).function()[1] == program
    assert np.abs(styled - wanted).max() < 1e-4
    assert np.abs(added).max() > 1


@pytest.mark.parametrize(
    ("build", "weight", "words"),
    [
        (lambda x, w: mb.add(x=x, y=w), W[0], "is read by 'add', which is not a layer"),
        (lambda x, w: mb.linear(x=mb.linear(x=x, weight=w), weight=w), W[:8], "2 operations"),
        (lambda x, w: mb.linear(x=x, weight=w), W[:9], r"in the shape \(9, 8\), and the adapter"),
        (lambda x, w: mb.conv(x=x, weight=w), np.ones((3, 3, 2), "f"), "mixes or skips pixels"),
        (
            lambda x, w: mb.matmul(x=x, y=w, transpose_x=True),
            W[:3],
            "'matmul', which is not a layer",
        ),
        (lambda x, w: mb.relu(x=x), W, "no operations"),
    ],
)
def test_a_weight_that_can_have_no_branch_is_named(tmp_path, build, weight, words):
    package = written(tmp_path / "one.mlpackage", build, weight, X.shape)
    before = (package / MODEL_FILE).read_bytes()
    with pytest.raises(zoo.IntegrityError, match=f"the adapter 'style' changes 'w'.*{words}"):
        add_branches(package, {"style": {"w": CHANGE}})
    assert (package / MODEL_FILE).read_bytes() == before


def test_an_adapter_called_as_the_model_without_one_is_refused(tmp_path):
    package = written(tmp_path / "one.mlpackage", *LAYERS["linear"], X.shape)
    with pytest.raises(zoo.RecipeError, match="an adapter cannot be called 'main'"):
        add_branches(package, {"main": {"w": CHANGE}})


def test_a_weight_that_both_chunks_read_is_in_both(tmp_path):
    square = programs.uniform(16, 16) / 4

    def twice(x):
        weight = mb.const(val=square, name="w")
        for number in range(4):
            own = mb.linear(x=x, weight=square + number)
            x = mb.tanh(x=mb.linear(x=own, weight=weight))
        return x

    package, x = tmp_path / "one.mlpackage", programs.uniform(2, 3, 16)
    (wanted,) = programs.run(programs.write(package, twice, (2, 3, 16)), x)
    first, second = map(ReferenceProgram, split_package(package))
    (between,) = first.predict({"x": x}).items()
    (found,) = second.predict(dict([between])).values()
    assert np.abs(found - wanted).max() < 1e-5
    for path in chunk_paths(package):
        held = [o.outputs[0].name for o in operations_of(Package(path).function()[1])]
        assert held.count("w") == 1
        assert (path / WEIGHT_FILE).stat().st_size < 4 * square.nbytes


def test_what_cannot_be_split_says_why(tmp_path):
    package = programs.write(tmp_path / "one.mlpackage", lambda x: mb.linear(x=x, weight=W), (2, 8))
    with pytest.raises(zoo.StepError, match="cannot be split: no suitable operation"):
        split_package(package)
