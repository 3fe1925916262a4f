"""PyTorch modules as Core ML packages: fused attention, states, flexible shapes, float16."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from worlds.coreml_builds import operations
from worlds.coreml_programs import METADATA, ct

import zoo
from zoo.formats.coreml.convert.traced import Input, write_traced
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.package.reader import Package


class Block(nn.Module):
    """Convolution, norm and attention over a sequence of any length."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(8, 16, 3, padding=1)
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(nn.functional.gelu(self.conv(x)).transpose(1, 2))
        parts = self.qkv(h).reshape(1, -1, 6, 8).transpose(1, 2)
        query, key, value = parts[:, :2], parts[:, 2:4], parts[:, 4:]
        mixed = scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).reshape(1, -1, 16))


class Remembering(nn.Module):
    """Writes each row where it is told to, and answers with the sum of what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(4, 8))

    def forward(self, row: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        begin = place.shape[0]
        self.memory[begin - 1 : begin] = row
        return self.memory.sum(0, keepdim=True)


@pytest.fixture(scope="module")
def block(tmp_path_factory) -> tuple[Block, Path]:
    module, package = Block(), tmp_path_factory.mktemp("traced") / "block.mlpackage"
    given = {"x": Input((1, 8, (1, 64)), "float32")}
    write_traced(module, given, [torch.zeros(1, 8, 5)], ["y"], package, metadata=METADATA)
    return module, package


@pytest.mark.parametrize("length", [1, 7, 64])
def test_a_module_computes_the_same_at_every_length(block, length):
    module, package = block
    x = torch.randn(1, 8, length)
    with torch.inference_mode():
        wanted = module(x).numpy()
    for mode, tolerance in (("fp32", 2e-3), ("fp16", 2e-2)):
        found = ReferenceProgram(package, mode=mode).predict({"x": x.numpy()})["y"]
        np.testing.assert_allclose(found, wanted, atol=tolerance)


def test_attention_is_fused_and_the_package_describes_itself(block):
    _, package = block
    found = operations(package)
    assert found["scaled_dot_product_attention"] == 1
    assert found["softmax"] == 0
    assert Package(package).spec.specificationVersion == 9
    model = ct.models.MLModel(str(package), skip_model_load=True)
    assert (model.author, model.license, model.version) == ("me", "MIT", "1")
    assert model.user_defined_metadata["source"] == "here"
    with pytest.raises(zoo.InputError, match="1 to 64"):
        ReferenceProgram(package).predict({"x": np.zeros((1, 8, 65), np.float32)})


def test_a_number_stands_in_the_program_once(block):
    _, package = block
    _, program = Package(package).function()
    values = [
        operation.attributes["val"].SerializeToString(deterministic=True)
        for operation in program.operations
        if operation.type == "const"
    ]
    assert len(values) == len(set(values)) > 10
    made = {output.name for operation in program.operations for output in operation.outputs}
    read = {
        binding.name
        for operation in program.operations
        for argument in operation.inputs.values()
        for binding in argument.arguments
        if binding.WhichOneof("binding") == "name"
    }
    assert read <= made | {"x"}


def test_a_buffer_becomes_a_state(tmp_path):
    package = tmp_path / "m.mlpackage"
    given = {"row": Input((1, 8)), "place": Input(((1, 4),), "int32")}
    example = [torch.zeros(1, 8), torch.zeros(3, dtype=torch.int32)]
    write_traced(
        Remembering(), given, example, ["sum"], package, metadata=METADATA, states=["memory"]
    )
    found = operations(package)
    assert found["read_state"] >= 1
    assert found["write_state"] >= 1
    program = ReferenceProgram(package)
    state = program.make_state()
    for place, total in ((1, 1), (3, 3), (3, 4)):
        row = np.full((1, 8), 1 if place == 1 else {3: 2, 4: 3}[total], np.float16)
        inputs = {"row": row, "place": np.zeros(place, np.int32)}
        assert program.predict(inputs, state)["sum"].ravel()[0] == total


def test_what_is_kept_in_float32_is_computed_so(tmp_path):
    class Square(nn.Module):
        def forward(self, x):
            return (x * x).mean(-1, keepdim=True).sqrt()

    x = np.full((1, 8), 300, np.float32)
    for keep, finite in ((("mul", "square", "reduce_mean", "sqrt"), True), ((), False)):
        package = tmp_path / f"{finite}.mlpackage"
        write_traced(
            Square(), {"x": Input((1, 8), "float32")}, [torch.zeros(1, 8)], ["y"], package,
            metadata=METADATA, keep_float32=lambda op, keep=keep: op.op_type in keep,
        )  # fmt: skip
        found = ReferenceProgram(package).predict({"x": x})["y"]
        assert np.isfinite(found).all() == finite


def test_what_cannot_be_converted_is_named(tmp_path):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    with pytest.raises(zoo.StepError, match=r"coremltools cannot convert Odd: .*bessel_j0"):
        write_traced(
            Odd(),
            {"x": Input((2,))},
            [torch.zeros(2)],
            ["y"],
            tmp_path / "m.mlpackage",
            metadata=METADATA,
        )
    assert not list(tmp_path.iterdir())


class Shared(nn.Module):
    """A weight that is read in float16 and in float32, and one in float16 alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.both = nn.Parameter(torch.randn(96, 96) / 10)
        self.alone = nn.Parameter(torch.randn(96, 96) / 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        narrow = (x @ self.alone).relu() @ self.both
        return narrow, torch.sigmoid(x @ self.both)


def test_weights_are_given_up_without_a_trace_in_the_package(tmp_path):
    x, packages = torch.ones(1, 96), []
    for consume in (False, True):
        module, package = Shared(), tmp_path / f"{consume}.mlpackage"
        with torch.inference_mode():
            wanted = [out.numpy() for out in module(x)]

        def feeds_the_sigmoid(operation) -> bool:
            return any(child.op_type == "sigmoid" for child in operation.outputs[0].child_ops)

        write_traced(
            module,
            {"x": Input((1, 96), "float32")},
            [x],
            ["narrow", "wide"],
            package,
            metadata=METADATA,
            keep_float32=feeds_the_sigmoid,
            consume=consume,
        )
        assert (module.both.numel() == 0) == consume
        found = ReferenceProgram(package).predict({"x": x.numpy()})
        for name, value in zip(("narrow", "wide"), wanted, strict=True):
            np.testing.assert_allclose(found[name], value, atol=2e-2)
        packages.append((package / "Data/com.apple.CoreML/weights/weight.bin").read_bytes())
    assert packages[0] == packages[1]


def test_conversions_in_threads_wait_for_each_other_and_leave_nothing_behind(tmp_path):
    """coremltools is changed while it converts; two at once must not change it for good."""
    inputs = {"x": Input((1, 8, (1, 64)), "float32")}
    before = ct.converters.mil.frontend.torch.ops._cast
    folders = [tmp_path / str(number) for number in range(4)]
    modules = [Block() for _ in folders]  # here, because the seed is that of all threads
    elsewhere: list[str] = []

    def convert(folder: Path) -> Path:
        folder.mkdir()
        module = modules[int(folder.name)]
        with torch.no_grad():
            module.out.bias.fill_(int(folder.name))
        package = folder / "block.mlpackage"
        write_traced(module, inputs, [torch.zeros(1, 8, 5)], ["y"], package, metadata=METADATA)
        elsewhere.append(tempfile.gettempdir())
        return package

    usual = tempfile.gettempdir()
    with ThreadPoolExecutor(4) as threads:
        packages = list(threads.map(convert, folders))
    assert ct.converters.mil.frontend.torch.ops._cast is before
    assert {tempfile.gettempdir(), *elsewhere} == {usual}
    x = np.random.default_rng(0).normal(size=(1, 8, 9)).astype(np.float32)
    answers = [ReferenceProgram(package).predict({"x": x})["y"] for package in packages]
    for number, answer in enumerate(answers):
        np.testing.assert_allclose(answer - answers[0], number, atol=0.02)
        assert [path.name for path in folders[number].iterdir()] == ["block.mlpackage"]
