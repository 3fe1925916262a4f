"""LoRA styles of Stable Diffusion as functions of one Core ML package, beside PyTorch's."""

from __future__ import annotations

import shutil
from pathlib import Path

import coreml_programs as programs
import diffusion_checkpoint
import numpy as np
import pytest
import torch
from coreml_builds import make_build, operations
from coreml_programs import ct, mb
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

import zoo
import zoo_stable_diffusion.coreml
from zoo.check_speech import psnr
from zoo.formats.adapters import LowRank, read_adapter
from zoo.formats.coreml.branches import add_branches, is_branch
from zoo.formats.coreml.constants import Constants
from zoo.formats.coreml.execute import Functions, ReferenceProgram
from zoo.formats.coreml.package import Package
from zoo.formats.coreml.plugin import cost
from zoo.formats.coreml.program import operations as operations_of
from zoo.formats.coreml.streaming import MODEL_FILE, WEIGHT_FILE
from zoo.formats.tensors import Tensors
from zoo.recipe import Build, Recipe, Source
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.coreml import CoreMLStableDiffusion
from zoo_stable_diffusion.coreml_components import Conversion, Target, read_styles
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
    return diffusion_checkpoint.make(tmp_path_factory.mktemp("pipeline"), make_unet())


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
    made = make_build(zoo_stable_diffusion.coreml, folder, home, step, adapters=styles)
    return {"whole": home / "converted", "palettes": made}


def drawn(model: zoo.ImageModel, style: str | None) -> np.ndarray:
    model.use(style)
    return np.asarray(model.generate(PROMPT, **DRAWING), float) / 255


def noise(model: zoo.ImageModel, style: str | None) -> np.ndarray:
    model.use(style)
    return model.parts(PROMPT)["unet"]


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


def test_split_attention_has_branches_of_convolutions(folder, styles, theirs, tmp_path):
    recipe = Recipe(
        schema=1,
        family="stable-diffusion",
        title="Test",
        summary="for tests",
        task="image-generation",
        license="MIT",
        parameters=1,
        source=Source(folder=folder.name),
        build={"coreml": Build("coreml")},
        ref="test",
        home=folder.parent,
    )
    target = Target("iOS18", split=True)
    parts = read_styles(recipe, folder, styles, target)
    Conversion(recipe, read_diffusion_config(folder), folder, tmp_path, target, {}).write_unet()
    package = tmp_path / "unet.mlpackage"
    alone = (package / WEIGHT_FILE).stat().st_size
    program = Package(package).function()[1]
    add_branches(package, parts, "unet")
    assert (package / WEIGHT_FILE).stat().st_size < 1.25 * alone
    assert Package(package).function()[1] == program
    added = operations(package, "outline") - operations(package)
    assert added["conv"] == 2 * len(parts["outline"])
    assert added["linear"] == 0
    functions = Functions(package)
    rng = np.random.default_rng(0)
    given = {
        "sample": rng.standard_normal((2, 4, 8, 16), np.float32),
        "timestep": np.full(2, 501, np.float32),
        "encoder_hidden_states": rng.standard_normal((2, 64, 1, 77), np.float32),
    }
    told = torch.from_numpy(given["encoder_hidden_states"][:, :, 0].transpose(0, 2, 1))
    for name in (None, *STYLES):
        theirs.use(name)
        with torch.inference_mode():
            wanted = theirs.unet(torch.from_numpy(given["sample"]), torch.tensor(501.0), told)
        found = functions.open(name).predict(given)["noise_pred"]
        assert psnr(found, wanted.sample.numpy()) > 45
    with pytest.raises(zoo.RecipeError, match="has the style 'night', and Core ML can choose one"):
        read_styles(recipe, folder, styles, Target("iOS17", split=True))


def test_a_style_of_another_model_is_refused(folder, styles, tmp_path):
    shapes = Tensors(folder / "unet").shapes
    shutil.copytree(styles["outline"], tmp_path / "deep")
    path = tmp_path / "deep" / "pytorch_lora_weights.safetensors"
    renamed = {name.replace("mid_block", "third_block"): w for name, w in load_file(path).items()}
    save_file(renamed, path)
    with pytest.raises(zoo.IntegrityError, match=r"is of another model: it changes 'third_block\."):
        read_adapter(tmp_path / "deep", shapes)
    with_text = {
        f"text_encoder.{name.removeprefix('unet.')}": w.clone() for name, w in renamed.items()
    }
    save_file({**renamed, **with_text}, path)
    with pytest.raises(zoo.IntegrityError, match="zoo knows LoRA of the U-Net alone"):
        read_adapter(tmp_path / "deep", shapes)


W, X = programs.uniform(12, 8), programs.uniform(2, 3, 8)
CHANGE = LowRank(  # of numbers that float16 holds
    *(programs.uniform(*shape).astype(np.float16).astype(np.float32) for shape in ((2, 8), (12, 2)))
)
LAYERS = {
    "linear": (lambda x, w: mb.linear(x=x, weight=w), W),
    "matmul": (lambda x, w: mb.matmul(x=x, y=w), W.T),
    "turned": (lambda x, w: mb.matmul(x=x, y=w, transpose_y=True), W),
    "conv": (lambda x, w: mb.conv(x=x, weight=w, bias=w.val[:, 0, 0]), W[:, :, None]),
}


def written(package: Path, build, weight: np.ndarray, shape: tuple[int, ...], half=False) -> Path:
    def body(x):
        return build(x, mb.const(val=weight.astype(np.float16 if half else np.float32), name="w"))

    return programs.write(package, body, shape, half=half)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_branch_adds_its_product(tmp_path, kind, half):
    build, weight = LAYERS[kind]
    x = X.transpose(0, 2, 1) if kind == "conv" else X
    package = written(tmp_path / "one.mlpackage", build, weight, x.shape, half)
    (plain,) = programs.run(package, x)
    add_branches(package, {"style": {"w": CHANGE}})
    (styled,) = ReferenceProgram(package, function="style", mode="fp32").predict({"x": x}).values()
    added = X @ (CHANGE.up @ CHANGE.down).T
    wanted = plain + (added.transpose(0, 2, 1) if kind == "conv" else added)
    assert np.array_equal(programs.run(package, x)[0], plain)
    assert np.abs(styled - wanted).max() < 1e-4
    assert np.abs(added).max() > 1


@pytest.mark.parametrize(
    ("build", "weight", "words"),
    [
        (lambda x, w: mb.add(x=x, y=w), W[0], "is read by 'add', which is no layer"),
        (lambda x, w: mb.linear(x=mb.linear(x=x, weight=w), weight=w), W[:8], "2 operations"),
        (lambda x, w: mb.linear(x=x, weight=w), W[:9], r"in the shape \(9, 8\), and the adapter"),
        (lambda x, w: mb.conv(x=x, weight=w), np.ones((3, 3, 2), "f"), "mixes or skips pixels"),
        (lambda x, w: mb.matmul(x=x, y=w, transpose_x=True), W[:3], "'matmul', which is no layer"),
        (lambda x, w: mb.relu(x=x), W, "no operations"),
    ],
)
def test_a_weight_that_can_have_no_branch_is_named(tmp_path, build, weight, words):
    package = written(tmp_path / "one.mlpackage", build, weight, X.shape)
    before = (package / MODEL_FILE).read_bytes()
    with pytest.raises(zoo.IntegrityError, match=f"the adapter 'style' changes 'w'.*{words}"):
        add_branches(package, {"style": {"w": CHANGE}})
    assert (package / MODEL_FILE).read_bytes() == before


def test_an_adapter_called_as_the_model_without_one_is_refused(tmp_path):
    package = written(tmp_path / "one.mlpackage", *LAYERS["linear"], X.shape)
    with pytest.raises(zoo.RecipeError, match="an adapter cannot be called 'main'"):
        add_branches(package, {"main": {"w": CHANGE}})
