"""The pass `mixed` of Stable Diffusion: bits chosen by the loss to what its U-Net finds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.coreml_builds import make_build, optimize_build

import zoo
import zoo_stable_diffusion.coreml.plugin
from zoo.formats.coreml.compress.passes import LEDGER_FILE
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion

MIXED = {"kind": "mixed", "calibration": "prompts.txt", "prompts": 1}


def compress(tiny, folder: Path, **step: Any) -> Path:
    """What the hook `optimize` makes of the converted pipeline with one pass."""
    plugin, defaults = zoo_stable_diffusion.coreml.plugin, {"guidance": 3.0}
    return optimize_build(plugin, tiny.source, tiny.converted, folder, step, defaults=defaults)


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
def uniform(tiny, tmp_path_factory) -> Path:
    """4 bits everywhere, with their loss: the only choice."""
    folder = tmp_path_factory.mktemp("uniform")
    return compress(tiny, folder, **MIXED, bits_per_weight=16, choices=[4], text_encoder=4)


@pytest.fixture(scope="module")
def mixed(tiny, uniform, tmp_path_factory) -> Path:
    """As many bits as that, chosen."""
    folder = tmp_path_factory.mktemp("mixed")
    return compress(tiny, folder, **MIXED, bits_per_weight=unet_bits(uniform), choices=[3, 4, 8])


@pytest.mark.long
def test_the_choice_loses_less_than_the_same_bits_everywhere(mixed, uniform):
    losses = [ledger(build)["figures"]["loss"] for build in (mixed, uniform)]
    schemes = {e["scheme"] for n, e in ledger(mixed)["entries"].items() if n.startswith("unet/")}
    assert unet_bits(uniform) - 0.2 < unet_bits(mixed) <= unet_bits(uniform)
    assert 0 < losses[0] < losses[1]
    assert len(schemes & {f"palettes of {bits} bits" for bits in (3, 4, 8)}) > 1


def test_the_autoencoder_is_left_alone(tiny, mixed):
    weights = Path("Data/com.apple.CoreML/weights/weight.bin")
    for name in ("vae_decoder.mlpackage", "vae_encoder.mlpackage"):
        assert (mixed / name / weights).read_bytes() == (
            tiny.converted / name / weights
        ).read_bytes()


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


def test_the_choice_can_be_used_again(tiny, mixed, tmp_path):
    again = compress(tiny, tmp_path, kind="palettize", layers=ledger(mixed)["layers"])
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
def test_what_cannot_be_measured_is_refused(tiny, tmp_path, options, message):
    given = {**MIXED, "bits_per_weight": 6.0, **options}
    with pytest.raises(zoo.RecipeError) as caught:
        compress(tiny, tmp_path, **given)
    caught.match(message)


def test_a_unet_that_it_cannot_ask_is_refused(tiny, tmp_path):
    chunked = shutil.copytree(tiny.converted, tmp_path / "chunked")
    other = replace(tiny, converted=chunked)
    (chunked / "unet.mlpackage").rename(chunked / "unet_chunk1.mlpackage")
    with pytest.raises(zoo.RecipeError, match="measures a U-Net in one package, and its own is"):
        compress(other, tmp_path / "one", **MIXED, bits_per_weight=6.0)
    (chunked / "unet_chunk1.mlpackage").rename(chunked / "unet.mlpackage")
    path = chunked / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"in_channels": 9}))
    with pytest.raises(
        zoo.RecipeError, match="generates from prompts alone, and is made for inpaint"
    ):
        compress(other, tmp_path / "other", **MIXED, bits_per_weight=6.0)


@pytest.mark.parametrize(
    ("calibration", "chunks", "message"),
    [("none.txt", 1, "which does not exist"), ("prompts.txt", 2, "its own is in chunks")],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_converted(
    tiny, tmp_path, calibration, chunks, message
):
    step = {**MIXED, "bits_per_weight": 6.0, "calibration": calibration}
    with pytest.raises(zoo.RecipeError, match=message):
        make_build(zoo_stable_diffusion.coreml.plugin, tiny.source, tmp_path, step, chunks=chunks)
    assert not [*tmp_path.rglob("*.mlpackage")]


def test_many_rows_at_once_are_computed_as_few_are(tiny):
    package = tiny.converted / "unet.mlpackage"
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
