"""Compress saved packages: what coremltools and the reference executor make of the result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.coreml_builds import Notes, operations
from worlds.coreml_programs import ct, mb, run, save, types, uniform, write

import zoo
from zoo.formats.coreml.compress.folder import compress_folder
from zoo.formats.coreml.compress.passes import (
    LEDGER_FILE,
    Mixed,
    Palettize,
    Passes,
    Prune,
    Quantize,
)
from zoo.formats.coreml.compress.rewrite import compress_package
from zoo.formats.coreml.convert.streaming import shared_constant
from zoo.formats.coreml.execute.constants import Constants
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.package.proto import MODEL_FILE, WEIGHT_FILE
from zoo.formats.coreml.package.reader import Package
from zoo.formats.coreml.package.weights import weights_of
from zoo.progress import Progress

GENERATOR = np.random.default_rng(11)
SIZES = {
    "words": (96, 64), "conv": (32, 64, 3, 3), "up": (32, 48, 2, 2), "first": (64, 192),
    "second": (64, 80), "head": (96, 80), "tiny": (8, 16),
}  # fmt: skip
WEIGHTS = {name: GENERATOR.normal(0, 0.1, shape) for name, shape in SIZES.items()}


def network(x: Any, kind: type) -> Any:
    """Every layer with weights, and constants that are no weights."""

    def const(name: str) -> Any:
        return mb.const(val=WEIGHTS[name].astype(kind), name=name)

    table = mb.const(val=uniform(1, 64, 4, 4).astype(kind), name="table")
    words = mb.gather(x=const("words"), indices=np.arange(16, dtype=np.int32), axis=0)
    y = mb.add(x=mb.add(x=x, y=table), y=mb.reshape(x=words, shape=[1, 64, 4, 4]))
    y = mb.conv(x=y, weight=const("conv"), pad_type="same")
    y = mb.reshape(x=mb.reduce_mean(x=y, axes=[3]), shape=[1, 8, 16])
    y = mb.linear(x=y, weight=const("tiny"))
    y = mb.tile(x=mb.reshape(x=y, shape=[1, 64]), reps=[1, 3])
    y = mb.linear(x=y, weight=const("first"), bias=uniform(64).astype(kind))
    y = mb.matmul(x=y, y=const("second"))
    return mb.linear(x=y, weight=const("head"))


X = uniform(1, 64, 4, 4).astype(np.float16)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rewrite") / "model.mlpackage"
    return write(path, lambda x: network(x, np.float16), X.shape, half=True)


ALL = {"sparsity": 0.5, "embeddings": True, "head": True}
KINDS = {
    "int8": (Passes(Quantize(bits=8)), "constexpr_blockwise_shift_scale", 0.02, 8.6),
    "int4 by block": (Passes(Quantize(block_size=16)), "constexpr_blockwise_shift_scale", 0.2, 5.6),
    "6 bits": (Passes(Palettize(bits=6)), "constexpr_lut_to_dense", 0.05, 6.7),
    "3 bits, grouped": (Passes(Palettize(bits=3, group_size=8)), "constexpr_lut_to_dense", 0.3, 4.2),
    "sparse": (Passes(None, Prune(**ALL)), "constexpr_sparse_to_dense", 0.6, 9.6),
    "sparse int8": (
        Passes(Quantize(bits=8), Prune(**ALL)),
        "constexpr_sparse_blockwise_shift_scale", 0.6, 5.8,
    ),
    "sparse palettes": (
        Passes(Palettize(bits=4, group_size=16), Prune(n_of_m=(2, 4), embeddings=True, head=True)),
        "constexpr_lut_to_sparse", 0.6, 4.2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_is_what_coremltools_reads(package, tmp_path, name):
    from coremltools.optimize import coreml as peer

    passes, operation, error, most_bits = KINDS[name]
    out = tmp_path / "small.mlpackage"
    ledger = compress_package(package, out, passes)
    assert operations(out)[operation] == 5  # words, conv, first, second and head
    model = ct.models.MLModel(str(out), skip_model_load=True)
    theirs = tmp_path / "theirs.mlpackage"
    peer.decompress_weights(model).save(str(theirs))
    (ours,), (wanted,), (whole,) = run(out, X), run(theirs, X), run(package, X)
    np.testing.assert_array_equal(ours, wanted)
    assert 0 < np.abs(ours - whole).max() / np.ptp(whole) < error
    assert ledger.bits_per_weight < most_bits
    found = (out / WEIGHT_FILE).stat().st_size
    assert ledger.bits / 8 <= found <= ledger.bits / 8 + 40 * 64 + 32  # headers, indices
    noted = Package(out).spec.description.metadata.userDefined["zoo.compression"]
    assert noted == f"{ledger.bits_per_weight:.2f} bits per weight"


def test_the_ledger_names_every_weight_and_why_it_was_skipped(package, tmp_path):
    out = tmp_path / "small.mlpackage"
    ledger = compress_package(package, out, Passes(Quantize(block_size=64)))
    assert ledger.skipped == {
        "table": "read by add, not by a layer",
        "tiny": "it has 128 entries, fewer than 2,048",
        "head": "its 80 input channels are not a multiple of 64",
    }
    said = {name: entry.scheme for name, entry in ledger.entries.items()}
    assert said["conv"] == said["second"] == "int4, blocks of 64"
    assert said["table"] == said["tiny"] == said["head"] == "float16"
    biases = {name for name in said if "bias" in name}
    assert biases, "biases count too"
    assert set(said) == biases | {*SIZES, "table"} - {"up"}


def test_roles_and_names_have_bits_of_their_own(package, tmp_path):
    passes = Passes(Palettize(bits=4, embeddings=16, head=8, conv=6, layers={"sec*": 2}))
    ledger = compress_package(package, tmp_path / "small.mlpackage", passes)
    said = {name: ledger.entries[name].scheme for name in SIZES if name in ledger.entries}
    assert said == {
        "words": "float16", "conv": "palettes of 6 bits", "first": "palettes of 4 bits",
        "second": "palettes of 2 bits", "head": "palettes of 8 bits", "tiny": "float16",
    }  # fmt: skip
    assert "words" not in ledger.skipped, "it was asked to stay"


def test_a_pattern_that_matches_nothing_is_refused(package, tmp_path):
    out = tmp_path / "small.mlpackage"
    with pytest.raises(zoo.RecipeError, match="'secund' in layers matches no weight") as caught:
        compress_package(package, out, Passes(Palettize(layers={"secund": 2})))
    assert "second" in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize(
    "passes",
    [
        Passes(Quantize(bits=8)),
        Passes(Palettize(bits=8, group_size=16)),
        Passes(Quantize(bits=8), Prune(sparsity=0.25)),
    ],
    ids=["int8", "palettes", "sparse"],
)
def test_channels_may_be_on_any_axis(tmp_path, passes):
    def body(x: Any) -> Any:
        y = mb.conv_transpose(x=x, weight=WEIGHTS["up"].astype(np.float16), name="up")
        y = mb.reduce_mean(x=y, axes=[2, 3])
        stacked = mb.const(val=STACKED, name="stacked")
        return mb.matmul(x=mb.reshape(x=y, shape=[3, 1, 16]), y=stacked, name="y")

    whole = write(tmp_path / "whole.mlpackage", body, (1, 32, 4, 4), half=True)
    out = tmp_path / "small.mlpackage"
    ledger = compress_package(whole, out, passes, smallest=1000)
    assert (
        len([e for e in ledger.entries.values() if "of 8" in e.scheme or "int8" in e.scheme]) == 2
    )
    found = {array.shape: array.astype(np.float32) for array in constants_of(Package(out))}
    for wanted in (WEIGHTS["up"], STACKED):
        kept = found[wanted.shape] != 0
        assert kept.mean() > 0.7
        error = np.linalg.norm((found[wanted.shape] - wanted)[kept])
        assert error < 0.02 * np.linalg.norm(wanted)


STACKED = GENERATOR.normal(0, [[[1.0]], [[0.1]], [[0.5]]], (3, 16, 32)).astype(np.float16)


def constants_of(package: Package) -> list[np.ndarray]:
    """The arrays that the operations of a program read."""
    _, block = package.function()
    return [t.numpy() for t in Constants(package).of(block).values() if not isinstance(t, str)]


def test_a_scale_belongs_to_an_output_channel(tmp_path):
    weight = np.outer(np.ones(64), 10.0 ** -np.arange(64) / 1e-3).astype(np.float32)
    weight = (weight + uniform(64, 64) * weight * 0.3)[:, :4].astype(np.float16)
    whole = write(
        tmp_path / "whole.mlpackage", lambda x: mb.matmul(x=x, y=weight), (1, 64), half=True
    )
    out = tmp_path / "small.mlpackage"
    compress_package(whole, out, Passes(Quantize(bits=8)), smallest=64)
    (found,) = (a for a in constants_of(Package(out)) if a.shape == weight.shape)
    errors = np.abs(found - weight).max(0) / np.abs(weight.astype(np.float32)).max(0)
    assert (errors < 0.005).all(), "each column has its own scale"


def test_weights_in_float32_stay_so(tmp_path):
    whole = write(tmp_path / "whole.mlpackage", lambda x: network(x, np.float32), X.shape)
    out = tmp_path / "small.mlpackage"
    ledger = compress_package(whole, out, Passes(Palettize(bits=8)))
    x = X.astype(np.float32)
    (ours,), (wanted,) = run(out, x), run(whole, x)
    assert np.abs(ours - wanted).max() < 0.02 * np.ptp(wanted)
    assert ledger.entries["table"].scheme == "float32"
    assert ledger.entries["conv"].bits == 8 * 32 * 64 * 9 + 256 * 32
    model = ct.models.MLModel(str(out), skip_model_load=True)
    from coremltools.optimize import coreml as peer

    peer.decompress_weights(model).save(str(tmp_path / "theirs.mlpackage"))
    np.testing.assert_array_equal(ours, run(tmp_path / "theirs.mlpackage", x)[0])


@pytest.fixture
def functions(tmp_path) -> Path:
    """A package of two functions that share one weight and have one each, of the same name."""

    def body(own: np.ndarray) -> Any:
        def build(x: Any) -> Any:
            shared = shared_constant("shared", WEIGHTS["first"].astype(np.float16))
            y = mb.linear(x=x, weight=shared)
            own_weight = mb.const(val=own.astype(np.float16), name="own")
            return mb.linear(x=y, weight=own_weight, name="y")

        return build

    def made(name: str, own: np.ndarray) -> Any:
        spec = [mb.TensorSpec((1, 192), dtype=types.fp16)]
        return mb.program(input_specs=spec, opset_version=ct.target.iOS18, function_name=name)(
            body(own)
        )

    program = made("main", WEIGHTS["second"].T)
    program.add_function("style", made("style", WEIGHTS["second"].T * 2).functions["style"])
    program.export_as_multifunction = True
    return save(program, tmp_path / "functions.mlpackage")


def test_functions_go_on_sharing_their_weights(functions, tmp_path):
    out = tmp_path / "small.mlpackage"
    ledger = compress_package(functions, out, Passes(Palettize(bits=8, layers={"own (style)": 4})))
    assert set(ledger.entries) >= {"shared", "own", "own (style)"}
    assert ledger.entries["own (style)"].scheme == "palettes of 4 bits"
    opened = Package(out)
    assert opened.functions == ["main", "style"]
    x = {"x": uniform(1, 192).astype(np.float16)}
    for name, error in (("main", 0.02), ("style", 0.3)):
        (ours,) = ReferenceProgram(out, function=name).predict(x).values()
        (whole,) = ReferenceProgram(functions, function=name).predict(x).values()
        assert 0 < np.abs(ours - whole).max() < error * np.ptp(whole)
    size = WEIGHTS["first"].size + 1.5 * WEIGHTS["second"].size
    assert (out / WEIGHT_FILE).stat().st_size < 1.1 * size + 4096
    ct.models.MLModel(str(out), skip_model_load=True, function_name="style")


def test_what_is_compressed_already_is_copied(package, tmp_path):
    first, second = tmp_path / "first.mlpackage", tmp_path / "second.mlpackage"
    joint = Passes(Palettize(bits=4, group_size=16), Prune(sparsity=0.5))
    before = compress_package(package, first, joint)
    after = compress_package(first, second, Passes(Quantize(bits=8)))
    assert after.skipped["conv"] == "it is compressed already"
    assert after.bits == before.bits
    np.testing.assert_array_equal(run(first, X)[0], run(second, X)[0])


@pytest.fixture
def pipeline(package, tmp_path) -> Path:
    """A converted model of two components, and a file beside them."""
    folder = tmp_path / "converted"
    for name in ("unet", "text/encoder"):
        shutil.copytree(package, folder / f"{name}.mlpackage")
    (folder / "text/merges.txt").write_text("a b")
    return folder


def test_components_have_one_ledger(pipeline, tmp_path):
    notes = Notes()
    passes = Passes(Palettize(bits=4, layers={"text/*": 8, "unet/conv": 16}))
    out = compress_folder(passes, pipeline, tmp_path / "out", Progress("optimize", notes))
    assert (out / "text/merges.txt").read_text() == "a b"
    entries = json.loads((out / LEDGER_FILE).read_text())["entries"]
    assert entries["text/encoder/conv"]["scheme"] == "palettes of 8 bits"
    assert entries["unet/conv"]["scheme"] == "float16"
    assert entries["unet/first"]["scheme"] == "palettes of 4 bits"
    for name, error in (("text/encoder", 0.03), ("unet", 0.4)):
        (ours,), (whole,) = (run(f / f"{name}.mlpackage", X) for f in (out, pipeline))
        assert 0 < np.abs(ours - whole).max() < error * np.ptp(whole)
    skipped = json.loads((out / LEDGER_FILE).read_text())["skipped"]
    assert skipped["unet/tiny"] == "it has 128 entries, fewer than 2,048"
    assert any(f"{len(skipped)} weights left uncompressed" in note for note in notes.said)
    assert any("bits per weight" in note for note in notes.said)


def test_one_component_needs_no_name(package, tmp_path):
    shutil.copytree(package, tmp_path / "in/model.mlpackage")
    passes = Passes(Palettize(layers={"conv": 8}))
    out = compress_folder(passes, tmp_path / "in", tmp_path / "out", Progress("optimize"))
    assert "conv" in json.loads((out / LEDGER_FILE).read_text())["entries"]


def test_a_pattern_has_to_match_one_of_the_components(pipeline, tmp_path):
    passes = Passes(Palettize(layers={"vae/*": 8}))
    with pytest.raises(zoo.RecipeError, match=r"'vae/\*' in layers matches no weight"):
        compress_folder(passes, pipeline, tmp_path / "out", Progress("optimize"))


def test_bits_are_chosen_by_families_that_measure(pipeline, tmp_path):
    passes = Passes(None, mixed=Mixed(bits_per_weight=4.0, calibration="text"))
    with pytest.raises(zoo.RecipeError, match="does not measure what its weights are worth"):
        compress_folder(passes, pipeline, tmp_path / "out", Progress("optimize"))


def test_a_folder_without_packages_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(zoo.RecipeError, match="acme:model has no Core ML package"):
        compress_folder(
            Passes(Quantize()), tmp_path / "in", tmp_path, Progress("optimize"), "acme:model"
        )


def test_an_older_package_is_refused(tmp_path):
    spec = [mb.TensorSpec((1, 64))]
    program = mb.program(input_specs=spec, opset_version=ct.target.iOS17)(
        lambda x: mb.linear(x=x, weight=WEIGHTS["second"].T.astype(np.float32)[:, :64])
    )
    old = tmp_path / "old.mlpackage"
    ct.convert(
        program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17,
        skip_model_load=True,
    ).save(str(old))  # fmt: skip
    with pytest.raises(zoo.RecipeError, match="for an older system than iOS 18"):
        compress_package(old, tmp_path / "new.mlpackage", Passes(Quantize()))


def test_damaged_weights_are_told(package, tmp_path):
    broken = tmp_path / "broken.mlpackage"
    shutil.copytree(package, broken)
    with open(broken / WEIGHT_FILE, "r+b") as file:
        file.truncate(5000)
    with pytest.raises(zoo.IntegrityError):
        compress_package(broken, tmp_path / "new.mlpackage", Passes(Quantize()))
    (broken / MODEL_FILE).write_bytes(b"nothing")
    with pytest.raises(zoo.IntegrityError):
        compress_package(broken, tmp_path / "other.mlpackage", Passes(Quantize()))


def test_roles_are_seen(package):
    roles = {weight.name: weight.role for weight in weights_of(Package(package)).values()}
    assert roles["words"] == "embeddings"
    assert roles["conv"] == "conv"
    assert roles["first"] == roles["second"] == "linear"
    assert roles["head"] == "head", "it has as many rows as the embedding has entries"
    assert roles["table"] is None


PEAK = """
import re, sys
from pathlib import Path
from zoo.formats.coreml.compress.passes import Passes, Palettize, Quantize
from zoo.formats.coreml.compress.rewrite import compress_package

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

folder = Path(sys.argv[1])
passes = {"palettes": Passes(Palettize()), "integers": Passes(Quantize())}[sys.argv[2]]
compress_package(folder / "little.mlpackage", folder / "first.mlpackage", passes)
before = peak()
compress_package(folder / "large.mlpackage", folder / "second.mlpackage", passes)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.long
@pytest.mark.parametrize("kind", ["integers", "palettes"])
def test_memory_is_bounded_by_the_largest_weight(tmp_path, kind):
    rows, count = 1024, 32

    def body(count: int, rows: int) -> Any:
        def build(x: Any) -> Any:
            for number in range(count):
                weight = np.random.default_rng(number).normal(0, 0.02, (rows, rows))
                x = mb.linear(x=x, weight=weight.astype(np.float16))
            return x

        return build

    write(tmp_path / "little.mlpackage", body(2, 64), (1, 64), half=True)
    write(tmp_path / "large.mlpackage", body(count, rows), (1, rows), half=True)
    result = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path), kind],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    one = rows * rows * 2 / 2**20
    assert float(result.stdout) < 20 * one < count * one
