"""Programs that nobody's tools write: each is refused in a sentence, before it takes memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.coreml_programs import ct, mb, save, types, write

import zoo
from zoo.formats.coreml.execute.program import ReferenceProgram, open_program
from zoo.formats.coreml.execute.shapes import follow
from zoo.formats.coreml.package.proto import MODEL_FILE
from zoo.formats.coreml.package.reader import Package

X = np.ones((4, 4), np.float32)


def changed(package: Path, change: Callable[[Any, Any], None]) -> Path:
    """The package after a change of its protobuf and of the one block in it."""
    opened = Package(package)
    change(opened.spec, opened.function()[1])
    (package / MODEL_FILE).write_bytes(opened.spec.SerializeToString())
    return package


def last(block: Any, kind: str) -> Any:
    return [operation for operation in block.operations if operation.type == kind][-1]


def constant(block: Any, operation: Any, key: str) -> Any:
    """The value of a constant argument."""
    name = operation.inputs[key].arguments[0].name
    maker = next(o for o in block.operations if o.outputs and o.outputs[0].name == name)
    return maker.attributes["val"]


def numbers(kind: str, key: str, values: list[int]) -> Callable[[Any, Any], None]:
    def change(_: Any, block: Any) -> None:
        given = constant(block, last(block, kind), key).immediateValue.tensor.ints.values
        given[:] = values

    return change


def words(kind: str, key: str, value: str) -> Callable[[Any, Any], None]:
    def change(_: Any, block: Any) -> None:
        constant(block, last(block, kind), key).immediateValue.tensor.strings.values[:] = [value]

    return change


def huge(_: Any, block: Any) -> None:
    value = next(o for o in block.operations if o.type == "const").attributes["val"]
    del value.type.tensorType.dimensions[:]
    value.type.tensorType.dimensions.add().constant.size = 1 << 40


def undefined(_: Any, block: Any) -> None:
    last(block, "mul").inputs["x"].arguments[0].name = "nope\x1b[31m"


def lacking(_: Any, block: Any) -> None:
    del last(block, "mul").inputs["y"]


def twice(_: Any, block: Any) -> None:
    argument = last(block, "mul").inputs["x"]
    argument.arguments.append(argument.arguments[0])


def unknown_output(_: Any, block: Any) -> None:
    block.outputs[0] = "nope"


def other_opset(spec: Any, _: Any) -> None:
    spec.mlProgram.functions["main"].opset = "nope"


def other_default(spec: Any, _: Any) -> None:
    spec.description.defaultFunctionName = "nope"


def nameless(_: Any, block: Any) -> None:
    block.operations.add().type = "const"


def conv(x: Any) -> Any:
    return mb.conv(x=x, weight=np.ones((1, 1, 2, 2), np.float32), pad_type="same")


AT_LOADING = {
    "a constant of 2^40": (lambda x: mb.mul(x=x, y=np.float32(2)), huge, "has the shape"),
    "a name": (lambda x: mb.mul(x=x, y=x), undefined, r"'mul' \(.*nope.x1b.* nothing before it"),
    "no argument": (lambda x: mb.mul(x=x, y=x), lacking, r"'mul' .* lacks its argument 'y'"),
    "two arguments": (lambda x: mb.mul(x=x, y=x), twice, "'x' of an operation 'mul' .* takes one"),
    "an output": (lambda x: mb.mul(x=x, y=x), unknown_output, "declares the output 'nope'"),
    "no operations": (lambda x: mb.mul(x=x, y=x), other_opset, "has no operations"),
    "no default": (lambda x: mb.mul(x=x, y=x), other_default, "no function 'nope'"),
    "a constant without a name": (lambda x: mb.mul(x=x, y=x), nameless, "has no name"),
    "a stride of 0": (
        lambda x: mb.slice_by_index(x=x, begin=[0, 0], end=[4, 4], stride=[1, 2]),
        numbers("slice_by_index", "stride", [1, 0]),
        r"'slice_by_index' \(.* a stride of 0",
    ),
    "a negative pad": (
        lambda x: mb.pad(x=x, pad=[1, 1], mode="constant", constant_val=0.0),
        numbers("pad", "pad", [-1, -1]),
        r"'pad' \(.* a negative pad",
    ),
    "a mode": (
        lambda x: mb.pad(x=x, pad=[1, 1], mode="constant", constant_val=0.0),
        words("pad", "mode", "evil"),
        "'pad' .* 'mode' .* it is 'evil', not one of constant, reflect, replicate",
    ),
    "a type of padding": (conv, words("conv", "pad_type", "evil"), "'conv' .* 'pad_type'"),
    "a type to cast to": (
        lambda x: mb.cast(x=x, dtype="int32"),
        words("cast", "dtype", "evil"),
        "'cast' .* 'dtype'",
    ),
}


@pytest.mark.parametrize("case", AT_LOADING)
def test_what_is_known_when_a_program_is_loaded_is_refused_then(tmp_path, case):
    build, change, message = AT_LOADING[case]
    shape = (1, 1, 4, 4) if case == "a type of padding" else X.shape
    package = changed(write(tmp_path / "m.mlpackage", build, shape), change)
    with pytest.raises(zoo.IntegrityError, match=message) as caught:
        ReferenceProgram(package)
    assert caught.value.message.isprintable()
    with pytest.raises(zoo.IntegrityError, match=message):
        follow(Package(package), {"x": shape})


def test_shapes_are_followed_for_inputs_that_are_there(tmp_path):
    package = write(tmp_path / "m.mlpackage", lambda x: mb.mul(x=x, y=x), X.shape)
    with pytest.raises(zoo.IntegrityError, match="has no input 'z'"):
        follow(Package(package), {"x": X.shape, "z": (1,)})


def test_a_manifest_that_is_a_pipe_is_not_waited_for(tmp_path):
    package = write(tmp_path / "m.mlpackage", lambda x: mb.mul(x=x, y=x), X.shape)
    (package / "Manifest.json").unlink()
    os.mkfifo(package / "Manifest.json")
    with pytest.raises(zoo.IntegrityError, match="cannot be read"):
        open_program(package)


WHEN_RUN = {
    "fill": (
        lambda x: mb.fill(shape=[2, 2], value=1.0),
        numbers("fill", "shape", [1 << 20, 1 << 20]),
    ),
    "fill of less than nothing": (
        lambda x: mb.fill(shape=[2, 2], value=1.0),
        numbers("fill", "shape", [-2, 2]),
    ),
    "tile": (lambda x: mb.tile(x=x, reps=[2, 2]), numbers("tile", "reps", [1 << 30, 1 << 30])),
    "tile of less than nothing": (
        lambda x: mb.tile(x=x, reps=[2, 2]),
        numbers("tile", "reps", [-1, 2]),
    ),
    "pad": (
        lambda x: mb.pad(x=x, pad=[1, 1], mode="constant", constant_val=0.0),
        numbers("pad", "pad", [1 << 30, 1 << 30]),
    ),
    "transpose": (
        lambda x: mb.transpose(x=x, perm=[1, 0]),
        numbers("transpose", "perm", [5, 5]),
    ),
    "reshape": (lambda x: mb.reshape(x=x, shape=[2, 8]), numbers("reshape", "shape", [3, 7])),
}


@pytest.mark.parametrize("case", WHEN_RUN)
def test_what_cannot_be_computed_names_its_operation(tmp_path, case):
    build, change = WHEN_RUN[case]
    program = lambda x: mb.add(x=build(x), y=np.float32(0))  # noqa: E731
    package = changed(write(tmp_path / "m.mlpackage", program, X.shape), change)
    with pytest.raises(zoo.IntegrityError, match=r"the operation '\w+' \(.*cannot be computed"):
        ReferenceProgram(package).predict({"x": X})


def test_a_product_that_grows_without_end_is_refused_before_it_takes_memory(tmp_path):
    """Each step is broadcast against itself turned: from 4 numbers to 2^64 in five steps."""

    def build(x: Any) -> Any:
        x = mb.reshape(x=x, shape=[-1])
        for _ in range(4):
            x = mb.mul(x=mb.expand_dims(x=x, axes=[0]), y=mb.expand_dims(x=x, axes=[1]))
            x = mb.reshape(x=x, shape=[-1])
        return mb.reduce_sum(x=x)

    package = write(tmp_path / "m.mlpackage", build, X.shape)
    with pytest.raises(zoo.IntegrityError, match=r"'mul' .* the memory that is free"):
        ReferenceProgram(package).predict({"x": X})


@pytest.mark.parametrize("shape", [[1 << 20, 1 << 20], [1 << 62]])
def test_a_state_that_no_memory_holds_is_refused_at_loading(tmp_path, shape):
    specs = [mb.TensorSpec((4,), dtype=types.fp16), mb.StateTensorSpec((4,), dtype=types.fp16)]
    program = mb.program(input_specs=specs, opset_version=ct.target.iOS18)(
        lambda x, s: mb.add(x=x, y=mb.read_state(input=s))
    )

    def grow(spec: Any, _: Any) -> None:
        spec.description.state[0].type.stateType.arrayType.shape[:] = shape

    package = changed(save(program, tmp_path / "m.mlpackage"), grow)
    with pytest.raises(zoo.IntegrityError, match=r"the state 's' .* the memory that is free"):
        ReferenceProgram(package)
