"""The pass `mixed` of Stable Diffusion: bits chosen by the loss to what its U-Net finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import diffusion_checkpoint
from worlds.coreml_builds import make_build

import zoo
import zoo_stable_diffusion.coreml.plugin
from zoo.catalogs.recipe import Build, Optimization, Recipe
from zoo.catalogs.source import Source
from zoo.formats.coreml.compress.passes import LEDGER_FILE
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.progress import Progress
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion
from zoo_stable_diffusion.coreml.plugin import optimize

PROMPTS = "a red circle\n\na small blue ring\n"
MIXED = {"kind": "mixed", "calibration": "prompts.txt", "prompts": 1}


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """A converted pipeline, with its calibration beside it."""
    folder = tmp_path_factory.mktemp("pipeline")
    source = diffusion_checkpoint.make_tiny(folder)
    (folder / "prompts.txt").write_text(PROMPTS)
    (folder / "empty.txt").write_text("\n \n")
    build = make_build(zoo_stable_diffusion.coreml.plugin, source, folder / "build")
    return shutil.move(build, folder / "converted")


def compress(converted: Path, workdir: Path, **options: Any) -> Path:
    """What the hook `optimize` makes of the converted pipeline with one pass."""
    step = dict(options)
    build = Build("coreml", (Optimization(step.pop("kind"), step),))
    recipe = Recipe(
        schema=1, family="stable-diffusion", title="Test", summary="for tests",
        task="text-to-image", license="MIT", parameters=1, source=Source(folder="whole"),
        build={"coreml": build}, defaults={"guidance": 3.0}, ref="test", home=converted.parent,
    )  # fmt: skip
    workdir.mkdir()
    return optimize(recipe, build, converted, workdir, Progress("optimize"))


def ledger(build: Path) -> dict[str, Any]:
    return json.loads((build / LEDGER_FILE).read_text())


def unet_bits(build: Path) -> float:
    """Bits on disk for each weight of the U-Net."""
    entries = [e for name, e in ledger(build)["entries"].items() if name.startswith("unet/")]
    count = 0
    for entry in entries:
        size = 1
        for length in entry["shape"]:
            size *= length
        count += size
    return sum(entry["bits"] for entry in entries) / count


@pytest.fixture(scope="module")
def uniform(converted, tmp_path_factory) -> Path:
    """4 bits everywhere, with their loss: the only choice."""
    workdir = tmp_path_factory.mktemp("uniform") / "build"
    return compress(converted, workdir, **MIXED, bits_per_weight=16, choices=[4], text_encoder=4)


@pytest.fixture(scope="module")
def mixed(converted, uniform, tmp_path_factory) -> Path:
    """As many bits as that, chosen."""
    workdir = tmp_path_factory.mktemp("mixed") / "build"
    return compress(
        converted, workdir, **MIXED, bits_per_weight=unet_bits(uniform), choices=[3, 4, 8]
    )


@pytest.mark.long
def test_the_choice_loses_less_than_the_same_bits_everywhere(mixed, uniform):
    losses = [ledger(build)["figures"]["loss"] for build in (mixed, uniform)]
    schemes = {e["scheme"] for n, e in ledger(mixed)["entries"].items() if n.startswith("unet/")}
    assert unet_bits(uniform) - 0.2 < unet_bits(mixed) <= unet_bits(uniform)
    assert 0 < losses[0] < losses[1]
    assert len(schemes & {f"palettes of {bits} bits" for bits in (3, 4, 8)}) > 1


def test_the_autoencoder_is_left_alone(converted, mixed):
    weights = Path("Data/com.apple.CoreML/weights/weight.bin")
    for name in ("vae_decoder.mlpackage", "vae_encoder.mlpackage"):
        assert (mixed / name / weights).read_bytes() == (converted / name / weights).read_bytes()


@pytest.mark.parametrize(("build", "bits"), [("mixed", 8), ("uniform", 4)])
def test_the_text_encoder_has_bits_of_its_own_and_its_embeddings_no_fewer_than_8(
    build, bits, request
):
    entries = ledger(request.getfixturevalue(build))["entries"]
    schemes = {
        name: entry["scheme"]
        for name, entry in entries.items()
        if name.startswith("text_encoder/") and "palettes" in entry["scheme"]
    }
    few = {name for name, scheme in schemes.items() if scheme == f"palettes of {bits} bits"}
    assert any("mlp" in name for name in few)
    tokens = next(name for name in schemes if "token_embedding" in name)
    assert schemes[tokens] == "palettes of 8 bits"


def test_the_choice_can_be_used_again(converted, mixed, tmp_path):
    again = compress(
        converted, tmp_path / "again", kind="palettize", layers=ledger(mixed)["layers"]
    )
    assert ledger(again)["entries"] == ledger(mixed)["entries"]
    model = CoreMLStableDiffusion(again)
    assert model.generate("a red circle", steps=1, seed=1).size == (16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration": "none.txt"}, "calibrates on .*none.txt, which does not exist"),
        ({"calibration": "empty.txt"}, "calibrates on .*empty.txt, which is empty"),
        ({"bits_per_weight": 1.2}, "the fewest bits that are allowed take"),
        ({"tokens": 100}, "tokens: unknown key"),
        ({"text_encoder": 5}, "text_encoder: must be one of"),
    ],
)
def test_what_cannot_be_measured_is_refused(converted, tmp_path, options, message):
    given = {**MIXED, "bits_per_weight": 6.0, **options}
    with pytest.raises(zoo.RecipeError) as caught:
        compress(converted, tmp_path / "build", **given)
    caught.match(message)


def test_a_unet_that_it_cannot_ask_is_refused(converted, tmp_path):
    chunked = shutil.copytree(converted, tmp_path / "chunked" / "converted")
    (tmp_path / "chunked" / "prompts.txt").write_text(PROMPTS)
    (chunked / "unet.mlpackage").rename(chunked / "unet_chunk1.mlpackage")
    with pytest.raises(zoo.RecipeError, match="measures a U-Net in one package, and its own is"):
        compress(chunked, tmp_path / "one", **MIXED, bits_per_weight=6.0)
    (chunked / "unet_chunk1.mlpackage").rename(chunked / "unet.mlpackage")
    path = chunked / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"in_channels": 9}))
    with pytest.raises(
        zoo.RecipeError, match="generates from prompts alone, and is made for inpaint"
    ):
        compress(chunked, tmp_path / "other", **MIXED, bits_per_weight=6.0)


@pytest.mark.parametrize(
    ("calibration", "chunks", "message"),
    [("none.txt", 1, "which does not exist"), ("prompts.txt", 2, "its own is in chunks")],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_converted(
    converted, tmp_path, calibration, chunks, message
):
    step = {**MIXED, "bits_per_weight": 6.0, "calibration": calibration}
    source = converted.parent / "whole"
    with pytest.raises(zoo.RecipeError, match=message):
        make_build(zoo_stable_diffusion.coreml.plugin, source, tmp_path, step, chunks=chunks)
    assert not [*tmp_path.rglob("*.mlpackage")]


def test_many_rows_at_once_are_computed_as_few_are(converted):
    package = converted / "unet.mlpackage"
    rng = np.random.default_rng(0)
    given = {
        "sample": rng.normal(size=(4, 4, 8, 8)).astype(np.float32),
        "timestep": np.array([900, 500, 100, 1], np.float32),
        "encoder_hidden_states": rng.normal(size=(4, 16, 1, 77)).astype(np.float32),
    }
    with pytest.raises(zoo.InputError, match=r"of shape \(1 to 2"):
        ReferenceProgram(package, mode="fp32").predict(given)
    program = ReferenceProgram(package, mode="fp32", bounded=False)
    pairs = [{name: rows[n : n + 2] for name, rows in given.items()} for n in (0, 2)]
    few = np.concatenate([program.predict(pair)["noise_pred"] for pair in pairs])
    assert np.abs(program.predict(given)["noise_pred"] - few).max() < 1e-5
