"""Stable Diffusion's Core ML packages, run by the executor, beside diffusers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from worlds.coreml_builds import make_build, operations, optimize_build

import zoo
import zoo_stable_diffusion.coreml.plugin
from zoo.tasks.metrics import psnr
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion
from zoo_stable_diffusion.torch import TorchStableDiffusion

PROMPT = "a red circle"


@pytest.fixture(scope="module")
def theirs(tiny) -> TorchStableDiffusion:
    return TorchStableDiffusion(tiny.source)


@pytest.fixture(scope="module")
def ours(tiny) -> CoreMLStableDiffusion:
    return CoreMLStableDiffusion(tiny.converted)


def test_each_component_is_that_of_diffusers_in_float16(ours, theirs):
    wanted = theirs.component_outputs(PROMPT)
    for name, found in ours.component_outputs(PROMPT).items():
        assert found.shape == wanted[name].shape
        assert psnr(found, wanted[name]) > 35, name


def test_a_seed_draws_the_same_picture(ours, theirs):
    options = {"seed": 3, "steps": 4, "negative": "a blue ring"}
    one, other = (np.asarray(m.generate(PROMPT, **options), float) for m in (ours, theirs))
    assert psnr(one, other, 255) > 48
    assert np.abs(one - other).max() <= 8


def test_other_sizes_are_drawn_where_the_package_can(ours, theirs):
    options = {"seed": 3, "steps": 2, "width": 32}
    one, other = (np.asarray(m.generate(PROMPT, **options), float) for m in (ours, theirs))
    assert one.shape == (16, 32, 3)
    assert np.abs(one - other).mean() <= 2
    with pytest.raises(
        zoo.InputError,
        match=r"the width must be a multiple of \d+ pixels in a Core ML build, not 18",
    ):
        ours.generate(PROMPT, width=18)


@pytest.mark.long
def test_attention_can_be_split_for_the_neural_engine(tiny, theirs, tmp_path):
    build = make_build(
        zoo_stable_diffusion.coreml.plugin, tiny.source, tmp_path, attention="split-einsum"
    )
    assert operations(build / "unet.mlpackage")["scaled_dot_product_attention"] == 0
    found = CoreMLStableDiffusion(build).component_outputs(PROMPT)["unet"]
    assert psnr(found, theirs.component_outputs(PROMPT)["unet"]) > 35


LEFT = {"A15", "A16", "A21", "A23"}
"""What is left for the Neural Engine: angles of the time, the lookup of tokens, tiny pictures."""


@pytest.mark.long
def test_a_build_for_the_neural_engine_is_the_same_in_one_size(tiny, theirs, tmp_path):
    plugin = zoo_stable_diffusion.coreml.plugin
    build = make_build(plugin, tiny.source, tmp_path, target="neural-engine")
    model, wanted = CoreMLStableDiffusion(build), theirs.component_outputs(PROMPT)
    for name, found in model.component_outputs(PROMPT).items():
        assert psnr(found, wanted[name]) > 35, name
    one, other = (np.asarray(m.generate(PROMPT, seed=3, steps=2), float) for m in (model, theirs))
    assert psnr(one, other, 255) > 40
    for package in sorted(build.glob("*.mlpackage")):
        report = zoo.lint(package, target="iphone-neural-engine")
        assert {finding.id for finding in report.findings} <= LEFT, package.name
    assert not operations(build / "vae_decoder.mlpackage")["linear"]
    with pytest.raises(zoo.InputError, match="16x16 pixels alone, and 32x16 were asked for"):
        model.generate(PROMPT, width=32)


def test_fused_attention_is_not_for_the_neural_engine(tiny, tmp_path):
    options = {"target": "neural-engine", "attention": "fused"}
    with pytest.raises(zoo.RecipeError, match="not for the Neural Engine"):
        make_build(zoo_stable_diffusion.coreml.plugin, tiny.source, tmp_path, **options)


def test_passes_leave_the_autoencoder_alone(tiny, theirs, tmp_path):
    plugin, step = zoo_stable_diffusion.coreml.plugin, {"kind": "palettize", "bits": 6}
    whole = tiny.converted
    build = optimize_build(plugin, tiny.source, whole, tmp_path, step)

    def size(home: Path, name: str) -> int:
        return (home / f"{name}.mlpackage/Data/com.apple.CoreML/weights/weight.bin").stat().st_size

    assert size(build, "unet") < 0.6 * size(whole, "unet")
    assert size(build, "vae_decoder") == size(whole, "vae_decoder")
    wanted, found = (
        theirs.component_outputs(PROMPT),
        CoreMLStableDiffusion(build).component_outputs(PROMPT),
    )
    assert 20 < psnr(found["unet"], wanted["unet"]) < 60
    assert psnr(found["vae_decoder"], wanted["vae_decoder"]) > 35
