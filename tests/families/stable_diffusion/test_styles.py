"""Styles of Stable Diffusion as functions of a Core ML package, and that package in two chunks."""

from __future__ import annotations

import shutil
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from worlds import coreml_programs as programs
from worlds import diffusion_checkpoint
from worlds.coreml_builds import make_build, make_recipe, operations
from worlds.coreml_programs import ct

import zoo
import zoo_stable_diffusion.coreml.plugin
from zoo.catalogs.recipe import Build, Recipe
from zoo.formats.adapters import read_adapter, read_adapters
from zoo.formats.coreml.convert.branches import add_branches, is_branch
from zoo.formats.coreml.convert.chunks import split_package
from zoo.formats.coreml.convert.streaming import Metadata
from zoo.formats.coreml.convert.traced import Input, write_traced
from zoo.formats.coreml.execute.constants import Constants
from zoo.formats.coreml.execute.program import Functions
from zoo.formats.coreml.package.proto import (
    WEIGHT_FILE,
    blob,
    chunk_paths,
    shape_of,
    type_name,
    values_of,
)
from zoo.formats.coreml.package.proto import operations as operations_of
from zoo.formats.coreml.package.reader import Package, stored_bytes
from zoo.formats.coreml.plugin import cost
from zoo.formats.tensors import Tensors
from zoo.tasks.metrics import psnr
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.coreml import components
from zoo_stable_diffusion.coreml.components import Conversion, Target, read_styles
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion
from zoo_stable_diffusion.coreml.split_einsum_module import split_attention
from zoo_stable_diffusion.torch import TorchStableDiffusion

PROMPT, RANK = "a red circle", 8
DRAWING = {"seed": 3, "steps": 3, "negative": "a blue ring"}
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
STYLES = {"outline": ATTENTION, "night": [*ATTENTION, "proj_in", "ff.net.2"]}


def make_unet() -> UNet2DConditionModel:
    """Two levels in place of four: converted in a third of the time."""
    torch.manual_seed(1)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )


def make_vae() -> AutoencoderKL:
    """Two levels in place of four: pictures of 16 x 16."""
    torch.manual_seed(2)
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=16,
    )


def write_style(folder: Path, unet: UNet2DConditionModel, targets: list[str], seed: int) -> Path:
    """A style of random numbers, written by diffusers and PEFT."""
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets))
    torch.manual_seed(seed)
    for name, weight in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(unet)),
        unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = diffusion_checkpoint.make(tmp_path_factory.mktemp("pipeline"))
    make_unet().save_pretrained(made / "unet")
    make_vae().save_pretrained(made / "vae")
    return made


@pytest.fixture(scope="module")
def styles(tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("styles")
    return {
        name: write_style(home / name, make_unet(), targets, seed)
        for seed, (name, targets) in enumerate(STYLES.items())
    }


@pytest.fixture(scope="module")
def theirs(folder, styles) -> TorchStableDiffusion:
    return TorchStableDiffusion(folder).add_adapters(styles)


@pytest.fixture(scope="module")
def builds(folder, styles, tmp_path_factory) -> dict[str, Path]:
    """One in float16 and the same with palettes of 6 bits."""
    home, step = tmp_path_factory.mktemp("builds"), {"kind": "palettize", "bits": 6}
    made = make_build(zoo_stable_diffusion.coreml.plugin, folder, home, step, adapters=styles)
    return {"whole": home / "converted", "palettes": made}


def drawn(model: zoo.ImageModel, style: str | None) -> np.ndarray:
    model.use(style)
    return np.asarray(model.generate(PROMPT, **DRAWING), float) / 255


def noise(model: zoo.ImageModel, style: str | None) -> np.ndarray:
    model.use(style)
    return model.component_outputs(PROMPT)["unet"]


def unet_of(build: Path) -> Path:
    return build / "unet.mlpackage"


def test_each_style_draws_what_it_draws_in_pytorch(builds, theirs):
    with CoreMLStableDiffusion(builds["whole"]) as model:
        assert tuple(model.adapters) == ("night", "outline")
        wanted = {name: drawn(theirs, name) for name in (None, *STYLES)}
        for name in ("night", None, "outline", None):
            found = drawn(model, name)
            assert model.adapter == name
            for other, picture in wanted.items():
                assert (psnr(found, picture) > 40) == (name == other)
        with pytest.raises(zoo.NotFound, match=r"has no adapter 'nite'.*'night'"):
            model.use("nite")


def test_functions_share_every_weight_of_the_base(builds):
    package = Package(unet_of(builds["whole"]))
    constants = Constants(package)
    base, *others = (constants.of(package.function(name)[1]) for name in package.functions)
    matrices = {
        name for name, tensor in base.items() if torch.is_tensor(tensor) and tensor.dim() > 1
    }
    assert len(matrices) == sum(p.dim() > 1 for p in make_unet().parameters()) + 1  # the angles'
    for tensors in others:
        assert all(tensors[name] is base[name] for name in matrices)
        assert any(map(is_branch, tensors.keys() - base.keys()))
    assert not any(map(is_branch, base))
    stored = {
        origin: stored_bytes(type_name(value), prod(shape_of(value)))
        for operation in operations_of(package.function()[1])
        for value in values_of(operation)
        if (origin := blob(value))
    }
    assert (package.path / WEIGHT_FILE).stat().st_size < 1.25 * sum(stored.values())


def test_palettes_leave_the_branches_as_they_are(builds, theirs):
    before, after = (Package(unet_of(builds[name])) for name in ("whole", "palettes"))
    assert after.functions == ["main", "night", "outline"]
    for style in STYLES:
        kept = {
            operation.outputs[0].name: package.value(operation.attributes["val"])
            for package in (before, after)
            for operation in operations_of(package.function(style)[1])
            if operation.type == "const" and is_branch(operation.outputs[0].name)
        }
        for operation in operations_of(before.function(style)[1]):
            if (name := operation.outputs[0].name) in kept:
                assert np.array_equal(before.value(operation.attributes["val"]), kept.pop(name))
        assert not kept
    whole, small = (
        (unet_of(builds[name]) / WEIGHT_FILE).stat().st_size for name in ("whole", "palettes")
    )
    assert small < 0.55 * whole
    with CoreMLStableDiffusion(builds["palettes"]) as model:
        for name in (None, *STYLES):
            found = noise(model, name)
            apart = {other: psnr(found, noise(theirs, other)) for other in (None, *STYLES)}
            assert max(apart, key=apart.get) == name
            assert 20 < apart[name] < 60


def test_coremltools_takes_every_function(builds):
    from coremltools.converters.mil.frontend.milproto.load import load

    package = unet_of(builds["palettes"])
    spec = ct.utils.load_spec(str(package))
    for name in ("main", *STYLES):
        assert ct.models.MLModel(str(package), function_name=name, skip_model_load=True)
    program = load(spec, spec.specificationVersion, str((package / WEIGHT_FILE).parent))
    assert set(program.functions) == {"main", *STYLES}


def test_what_a_call_costs_is_still_told(builds):
    for build in builds.values():
        told = cost(build, None)
        weights = sum(operation.parameters for operation in told.operations)
        assert {operation.part for operation in told.operations} >= {"unet", "vae_decoder"}
        assert weights > sum(p.numel() for p in make_unet().parameters())


@pytest.fixture
def recipe(folder) -> Recipe:
    build = Build("coreml")
    return make_recipe(folder, build, family="stable-diffusion", task="text-to-image")


class Middle(torch.nn.Module):
    """The middle of a U-Net."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: torch.Tensor, time: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        return self.unet.mid_block(x, time, encoder_hidden_states=told)


def test_split_attention_has_branches_of_convolutions(folder, styles, theirs, tmp_path):
    unet = make_unet()
    split_attention(unet)
    shapes = {"x": (2, 64, 4, 6), "time": (2, 128), "told": (2, 77, 64)}
    given = {name: programs.uniform(*shape) for name, shape in shapes.items()}
    example = [torch.from_numpy(array) for array in given.values()]
    package = tmp_path / "middle.mlpackage"
    inputs = {name: Input(shape, "float32") for name, shape in shapes.items()}
    write_traced(Middle(unet), inputs, example, ["found"], package, metadata=Metadata())
    parts = {
        name: {w: c for w, c in changes.items() if w.startswith("mid_block")}
        for name, changes in read_adapters(styles, Tensors(folder / "unet").shapes).items()
    }
    add_branches(package, parts, "unet")
    added = operations(package, "outline") - operations(package)
    assert added["conv"] == 2 * len(parts["outline"]) == 16
    assert added["linear"] == 0
    functions = Functions(package)
    for name in (None, *STYLES):
        theirs.use(name)
        with torch.inference_mode():
            wanted = Middle(theirs.unet)(*example).numpy()
        assert psnr(functions.open(name).predict(given)["found"], wanted) > 45
        theirs.use(next(other for other in STYLES if other != name))
        with torch.inference_mode():
            assert psnr(Middle(theirs.unet)(*example).numpy(), wanted) < 40


def test_a_system_before_ios_18_has_no_styles(recipe, folder, styles):
    with pytest.raises(zoo.RecipeError, match="has the style 'night', and Core ML can choose one"):
        read_styles(recipe, folder, styles, Target("iOS17", split=True))


def test_a_style_of_another_model_is_refused(folder, styles, tmp_path):
    shapes = Tensors(folder / "unet").shapes
    shutil.copytree(styles["outline"], tmp_path / "deep")
    path = tmp_path / "deep" / "pytorch_lora_weights.safetensors"
    renamed = {name.replace("mid_block", "third_block"): w for name, w in load_file(path).items()}
    save_file(renamed, path)
    with pytest.raises(
        zoo.IntegrityError, match=r"is for another model: it changes 'third_block\."
    ):
        read_adapter(tmp_path / "deep", shapes)
    with_text = {
        f"text_encoder.{name.removeprefix('unet.')}": w.clone() for name, w in renamed.items()
    }
    save_file({**renamed, **with_text}, path)
    with pytest.raises(zoo.IntegrityError, match="zoo supports LoRA of the U-Net only"):
        read_adapter(tmp_path / "deep", shapes)


def in_chunks(build: Path, folder: Path) -> Path:
    """A copy of a build, its U-Net split."""
    shutil.copytree(build, folder)
    split_package(unet_of(folder))
    shutil.rmtree(unet_of(folder))
    return folder


@pytest.mark.parametrize("kind", ["whole", pytest.param("palettes", marks=pytest.mark.long)])
def test_two_chunks_draw_the_same_picture(builds, tmp_path, kind):
    build = in_chunks(builds[kind], tmp_path / "build")
    whole = (unet_of(builds[kind]) / WEIGHT_FILE).stat().st_size
    halves = [(path / WEIGHT_FILE).stat().st_size for path in chunk_paths(unet_of(build))]
    assert all(0.35 * whole < half < 0.65 * whole for half in halves)
    assert sum(halves) < 1.01 * whole
    with CoreMLStableDiffusion(builds[kind]) as one, CoreMLStableDiffusion(build) as two:
        assert two.adapters == one.adapters
        for name in ("night", None):
            one.use(name)
            two.use(name)
            wide = {**DRAWING, "width": 32, "steps": 1}
            for options in (DRAWING, wide):
                same = [np.asarray(m.generate(PROMPT, **options), float) / 255 for m in (one, two)]
                assert psnr(*same) > 45
    told, of_whole = (
        sum(o.parameters for o in cost(b, None).operations) for b in (build, builds[kind])
    )
    assert abs(told - of_whole) < 0.01 * of_whole


@pytest.mark.long
def test_coremltools_takes_both_chunks(builds, tmp_path):
    from coremltools.converters.mil.frontend.milproto.load import load

    build = in_chunks(builds["whole"], tmp_path / "build")
    for path in chunk_paths(unet_of(build)):
        spec = ct.utils.load_spec(str(path))
        program = load(spec, spec.specificationVersion, str((path / WEIGHT_FILE).parent))
        assert set(program.functions) == {"main", *STYLES}
        for described in spec.description.functions:
            inputs = program.functions[described.name].inputs
            assert list(inputs) == [feature.name for feature in described.input]
            for feature in described.input:
                ranges = feature.type.multiArrayType.shapeRange.sizeRanges
                assert len(ranges) == len(inputs[feature.name].shape)
                assert (ranges[0].lowerBound, ranges[0].upperBound) == (1, 2)


def test_chunks_are_an_option_of_a_build(recipe, folder, builds, tmp_path, monkeypatch):
    monkeypatch.setattr(
        components,
        "write_traced",
        lambda *given, **more: shutil.copytree(unet_of(builds["whole"]), given[4]),
    )
    target = components.read_target(recipe, Build("coreml", options={"chunks": 2}))
    Conversion(recipe, read_diffusion_config(folder), folder, tmp_path, target, {}).write_unet()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "unet_chunk1.mlpackage",
        "unet_chunk2.mlpackage",
    ]
    with pytest.raises(zoo.RecipeError, match="chunks: must be one of 1, 2, not 3"):
        components.read_target(recipe, Build("coreml", options={"chunks": 3}))
