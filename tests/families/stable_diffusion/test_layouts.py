"""SDXL, its turbo, Stable Diffusion 2 and inpainting in every format, beside diffusers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, EulerAncestralDiscreteScheduler
from PIL import Image
from worlds import diffusion_checkpoint
from worlds.coreml_builds import make_build

import zoo
import zoo_stable_diffusion.coreml.plugin
from zoo.formats.coreml.package.reader import Package
from zoo.tasks.metrics import psnr
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion
from zoo_stable_diffusion.mlx.plugin import MLXStableDiffusion
from zoo_stable_diffusion.schedulers import Schedule
from zoo_stable_diffusion.torch import TorchStableDiffusion

PROMPT, AWAY = "a red circle", "a blue ring"
SIDE = diffusion_checkpoint.SIDE
FORMATS = ["torch", "mlx", "coreml"]
LONG_BY_COREML = [
    pytest.param(name, marks=pytest.mark.long if name == "coreml" else ()) for name in FORMATS
]
APART = {"torch": 0, "mlx": 1, "coreml": 6}
"""How far a picture in a format may be from that of diffusers, of 255; Core ML's is float16."""


class Layout:
    """A pipeline, diffusers' own run of it, and its models in the formats, made as asked for."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder, self.place = folder, place
        self.theirs = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
        self.theirs.set_progress_bar_config(disable=True)
        self.models: dict[str, Any] = {}

    def model(self, format: str) -> Any:
        if format not in self.models:
            self.models[format] = self._made(format)
        return self.models[format]

    def _made(self, format: str) -> Any:
        if format == "torch":
            return TorchStableDiffusion(self.folder)
        if format == "mlx":
            return MLXStableDiffusion(self.folder)
        build = make_build(zoo_stable_diffusion.coreml.plugin, self.folder, self.place / "coreml")
        return CoreMLStableDiffusion(build)

    def drawn(self, prompt: str, seed: int, **options: Any) -> np.ndarray:
        """The picture of diffusers."""
        generator = torch.Generator().manual_seed(seed)
        return np.asarray(self.theirs(prompt, generator=generator, **options).images[0], float)


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    place = tmp_path_factory.mktemp("xl")
    return Layout(diffusion_checkpoint.make_xl(place), place)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    place = tmp_path_factory.mktemp("two")
    return Layout(diffusion_checkpoint.make_two(place), place)


@pytest.mark.parametrize(
    ("layout", "format"),
    [
        ("xl", "mlx"),
        pytest.param("xl", "coreml", marks=pytest.mark.long),
        ("two", "mlx"),
        pytest.param("two", "coreml", marks=pytest.mark.long),
    ],
)
def test_each_component_is_that_of_diffusers(layout, format, request):
    made: Layout = request.getfixturevalue(layout)
    wanted = made.model("torch").component_outputs(PROMPT)
    for name, found in made.model(format).component_outputs(PROMPT).items():
        assert found.shape == wanted[name].shape
        assert psnr(found, wanted[name]) > (90 if format == "mlx" else 45), name


@pytest.mark.parametrize("format", LONG_BY_COREML)
@pytest.mark.parametrize("negative", ["", AWAY])
def test_sdxl_draws_what_it_draws_in_diffusers(xl, format, negative):
    wanted = xl.drawn(
        PROMPT, 3, negative_prompt=negative or None, num_inference_steps=4, guidance_scale=5
    )
    drawn = xl.model(format).generate(PROMPT, negative=negative, steps=4, guidance=5, seed=3)
    assert drawn.size == (SIDE, SIDE)
    assert np.abs(np.asarray(drawn, float) - wanted).max() <= APART[format]


@pytest.mark.parametrize("format", LONG_BY_COREML)
def test_a_turbo_draws_in_one_step_without_guidance(xl, format, monkeypatch):
    turbo = EulerAncestralDiscreteScheduler(
        **diffusion_checkpoint.SCHEDULE, timestep_spacing="trailing"
    )
    monkeypatch.setattr(xl.theirs, "scheduler", turbo)
    wanted = xl.drawn(PROMPT, 3, num_inference_steps=1, guidance_scale=0)
    model = xl.model(format)
    own = {**turbo.config, "_class_name": type(turbo).__name__}
    monkeypatch.setattr(model, "schedule", Schedule(own))
    drawn = model.generate(PROMPT, steps=1, guidance=0, seed=3)
    assert np.abs(np.asarray(drawn, float) - wanted).max() <= APART[format]


@pytest.mark.parametrize("format", LONG_BY_COREML)
def test_inpainting_is_that_of_diffusers(two, format):
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    mask = Image.new("L", image.size)
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    options = {"image": image, "mask_image": mask, "strength": 1.0, "height": SIDE, "width": SIDE}
    wanted = two.drawn(PROMPT, 3, num_inference_steps=4, guidance_scale=3, **options)
    drawn = two.model(format).generate(
        PROMPT, image=image, mask=mask, strength=1.0, steps=4, guidance=3, seed=3
    )
    assert np.abs(np.asarray(drawn, float) - wanted).max() <= APART[format]
    with pytest.raises(zoo.InputError, match="is made for inpainting"):
        two.model(format).generate(PROMPT)


@pytest.mark.parametrize(
    ("upcast", "halves"), [pytest.param(True, False, marks=pytest.mark.long), (False, True)]
)
def test_the_autoencoder_of_sdxl_is_wide_unless_its_makers_say_otherwise(
    xl, tmp_path, upcast, halves
):
    if upcast:
        xl.model("coreml")
        build = xl.place / "coreml" / "converted"
    else:
        import shutil

        source = tmp_path / "half" / "whole"
        shutil.copytree(xl.folder, source)
        path = source / "vae" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "force_upcast": False}))
        build = _decoder_alone(source, tmp_path / "made")
    types = _types(build / "vae_decoder.mlpackage")
    assert ("fp16" in types) == halves
    if upcast:
        assert "fp16" in _types(build / "unet.mlpackage")


def _types(package: Path) -> set[str]:
    """The types of what the convolutions of a package find."""
    from coremltools.proto import MIL_pb2

    names = {MIL_pb2.FLOAT16: "fp16", MIL_pb2.FLOAT32: "fp32"}
    _, block = Package(package).function(None)
    return {
        names[operation.outputs[0].type.tensorType.dataType]
        for operation in block.operations
        if operation.type == "conv"
    }


def _decoder_alone(source: Path, place: Path) -> Path:
    from zoo_stable_diffusion.coreml.components import Conversion

    kept = {"write_encoder", "write_unet", "write_text"}
    with pytest.MonkeyPatch.context() as patch:
        for name in kept:
            patch.setattr(Conversion, name, lambda *_: None)
        return make_build(zoo_stable_diffusion.coreml.plugin, source, place)
