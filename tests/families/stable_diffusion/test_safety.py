"""The safety checker beside that of diffusers: what it sees, what it says, what becomes black."""

from __future__ import annotations

import json
import shutil
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from worlds import diffusion_checkpoint
from worlds.coreml_builds import make_build

import zoo
import zoo_stable_diffusion.coreml.plugin
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion
from zoo_stable_diffusion.mlx.plugin import MLXStableDiffusion
from zoo_stable_diffusion.safety import Look
from zoo_stable_diffusion.torch import TorchStableDiffusion

PROMPT = "a red circle"
SEEDS = range(8)
CONCEPT = 5
"""The one of which some pictures are drawn."""

DRAWN = {"steps": 2, "guidance": 1}


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (40, 64, 3), np.uint8)) for _ in range(2)]
    plain = ["red", "green", "blue", "white", "black", "yellow", "grey", "orange"]
    return [*noise, *(Image.new("RGB", (64, 48), color) for color in plain)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A pipeline that flags some of what it draws, and is more careful with some of `pictures`."""
    folder = diffusion_checkpoint.make_checked(tmp_path_factory.mktemp("checked"))
    path = folder / "safety_checker" / "model.safetensors"
    model = TorchStableDiffusion(folder)
    drawn = [model.generate(PROMPT, seed=seed, safety=False, **DRAWN) for seed in SEEDS]
    concepts, special = cosines(model.checker, model.look.at([*drawn, *pictures()]))
    nearest = special.amax(1)
    least = _between(nearest.tolist())
    near = concepts[:, CONCEPT] + 0.01 * (nearest > least)
    weights = load_file(path)
    weights["special_care_embeds_weights"][:] = least
    weights["concept_embeds_weights"][CONCEPT] = _between(near[: len(drawn)].tolist())
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def cosines(checker, seen) -> tuple[torch.Tensor, torch.Tensor]:
    """How near each picture is to each concept and to each special one."""
    with torch.inference_mode():
        pooled = checker.vision_model(torch.from_numpy(seen))[1]
        embedded = torch.nn.functional.normalize(checker.visual_projection(pooled))
        concepts, special = (
            embedded @ torch.nn.functional.normalize(embeds).T
            for embeds in (checker.concept_embeds, checker.special_care_embeds)
        )
    return concepts, special


def _between(numbers: list[float]) -> float:
    """The middle of the widest gap."""
    numbers = sorted(numbers)
    gaps = [after - before for before, after in pairwise(numbers)]
    widest = gaps.index(max(gaps))
    return (numbers[widest] + numbers[widest + 1]) / 2


@pytest.fixture(scope="module")
def theirs(folder) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def model(folder) -> TorchStableDiffusion:
    return TorchStableDiffusion(folder)


@pytest.fixture(scope="module")
def built(folder, tmp_path_factory) -> CoreMLStableDiffusion:
    build = make_build(zoo_stable_diffusion.coreml.plugin, folder, tmp_path_factory.mktemp("build"))
    return CoreMLStableDiffusion(build)


def test_a_picture_is_prepared_as_transformers_does(folder, theirs):
    wanted = theirs.feature_extractor(pictures(), return_tensors="np").pixel_values
    assert np.array_equal(Look.read(folder).at(pictures()), wanted)


@pytest.mark.parametrize(
    ("settings", "edge", "crop"),
    [({"size": 30, "crop_size": 20}, 30, 20), ({}, 224, 224), (None, 224, 224)],
)
def test_older_settings_are_understood(tmp_path, settings, edge, crop):
    if settings is not None:
        (tmp_path / "feature_extractor").mkdir()
        text = json.dumps(settings)
        (tmp_path / "feature_extractor" / "preprocessor_config.json").write_text(text)
    assert Look.read(tmp_path) == Look(edge, crop)


def test_damaged_settings_are_named(tmp_path):
    (tmp_path / "feature_extractor").mkdir()
    path = tmp_path / "feature_extractor" / "preprocessor_config.json"
    path.write_text('{"size": {"longest_edge": 3}}')
    with pytest.raises(zoo.IntegrityError, match=r"preprocessor_config\.json is invalid"):
        Look.read(tmp_path)


@pytest.mark.long
def test_verdicts_and_scores_are_those_of_diffusers(theirs, model, built):
    drawn = [model.generate(PROMPT, seed=seed, safety=False, **DRAWN) for seed in SEEDS]
    seen = model.look.at([*drawn, *pictures()])
    given, checker = torch.from_numpy(seen), theirs.safety_checker
    _, wanted = checker(clip_input=given, images=[np.zeros(1)] * len(seen))
    assert 0 < sum(wanted[: len(drawn)]) < len(drawn)
    assert model.unsafe(seen) == wanted
    assert built.unsafe(seen) == wanted
    concepts, special = cosines(checker, seen)
    careful = (special > checker.special_care_embeds_weights).any(1, keepdim=True)
    assert 0 < careful.sum() < len(seen)
    scores = concepts - checker.concept_embeds_weights + 0.01 * careful
    found = [
        built.checker.predict({"clip_input": one[None], "adjustment": np.zeros(1, np.float32)})
        for one in seen
    ]
    found = np.concatenate([one["concept_scores"] for one in found])
    assert np.abs(found - scores.detach().numpy()).max() < 2e-3
    all_of_them = {"clip_input": seen[:1], "adjustment": np.full(1, 2, np.float32)}
    assert built.checker.predict(all_of_them)["has_nsfw_concepts"][0]


@pytest.mark.parametrize("format", ["torch", pytest.param("coreml", marks=pytest.mark.long)])
def test_what_is_flagged_is_black_as_in_diffusers(request, theirs, format):
    model = request.getfixturevalue({"torch": "model", "coreml": "built"}[format])
    options = {"num_inference_steps": 2, "guidance_scale": 1}
    black = []
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        wanted = theirs(PROMPT, generator=generator, **options)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            drawn = model.generate(PROMPT, seed=seed, **DRAWN)
        black.append(bool(wanted.nsfw_content_detected[0]))
        assert (np.asarray(drawn).max() == 0) == black[-1]
        assert (
            any("which is replaced by a black image" in str(one.message) for one in told)
            == black[-1]
        )
    assert True in black
    assert False in black
    seed = black.index(True)
    free = model.generate(PROMPT, seed=seed, safety=False, **DRAWN)
    assert np.asarray(free).max() > 0


def test_there_is_no_checker_where_its_files_are_not(folder, tmp_path):
    copy = tmp_path / "whole"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "safety_checker")
    assert not TorchStableDiffusion(copy).checks
    assert not MLXStableDiffusion(folder).checks
