"""Stable Diffusion by MLX beside diffusers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from worlds import diffusion_checkpoint
from worlds.coreml_builds import make_build

import zoo
import zoo_stable_diffusion.mlx.plugin
from zoo.tasks.metrics import psnr
from zoo_stable_diffusion.mlx.plugin import MLXStableDiffusion
from zoo_stable_diffusion.torch import TorchStableDiffusion

PROMPT = "a red circle"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return diffusion_checkpoint.make(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def theirs(folder) -> TorchStableDiffusion:
    return TorchStableDiffusion(folder)


def test_each_component_is_that_of_diffusers(folder, theirs):
    ours, wanted = (
        MLXStableDiffusion(folder).component_outputs(PROMPT),
        theirs.component_outputs(PROMPT),
    )
    for name, found in ours.items():
        assert found.shape == wanted[name].shape
        assert np.abs(found - wanted[name]).max() < 1e-3, name


def test_a_seed_draws_the_same_picture(folder, theirs):
    options = {"seed": 3, "steps": 4, "negative": "a blue ring", "width": 48}
    one, other = (
        np.asarray(m.generate(PROMPT, **options), float)
        for m in (MLXStableDiffusion(folder), theirs)
    )
    assert one.shape == (64, 48, 3)
    assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize(("bits", "least"), [(8, 35), (4, 15)])
def test_a_quantized_build_is_near(folder, theirs, tmp_path, bits, least):
    step = {"kind": "quantize", "bits": bits, "group_size": 32}
    build = make_build(zoo_stable_diffusion.mlx.plugin, folder, tmp_path, step)
    found, wanted = (
        MLXStableDiffusion(build).component_outputs(PROMPT),
        theirs.component_outputs(PROMPT),
    )
    assert least < psnr(found["unet"], wanted["unet"]) < least + 40
    assert np.abs(found["vae_decoder"] - wanted["vae_decoder"]).max() < 1e-3


def test_a_group_that_divides_no_layer_is_refused(tmp_path):
    step = {"kind": "quantize", "bits": 4, "group_size": 128}
    tiny = diffusion_checkpoint.make_tiny(tmp_path)
    with pytest.raises(
        zoo.RecipeError,
        match="no layer of 'text_encoder' in 'test' has a width that is a multiple of the group size 128",
    ):
        make_build(zoo_stable_diffusion.mlx.plugin, tiny, tmp_path / "build", step)
