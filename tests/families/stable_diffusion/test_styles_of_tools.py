"""Styles as kohya's scripts, A1111 and diffusers of any year write them, beside diffusers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from worlds import diffusion_checkpoint

import zoo
from zoo.formats.adapters import read_adapter
from zoo_stable_diffusion.coreml.components import Target, read_styles
from zoo_stable_diffusion.mlx.plugin import MLXStableDiffusion
from zoo_stable_diffusion.torch import TorchStableDiffusion

FORMATS = {"torch": TorchStableDiffusion, "mlx": MLXStableDiffusion}
FILE = "pytorch_lora_weights.safetensors"
PROMPT = "a red circle"
APART = 2
WAYS = ("up", "down")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return diffusion_checkpoint.make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return diffusion_checkpoint.make_xl(tmp_path_factory.mktemp("xl"))


def pipeline(folder: Path) -> Any:
    made = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    made.set_progress_bar_config(disable=True)
    return made


def drawn(made: Any) -> np.ndarray:
    seed = torch.Generator().manual_seed(3)
    picture = made(PROMPT, num_inference_steps=3, guidance_scale=3.0, generator=seed).images[0]
    return np.asarray(picture, float)


def kohya(
    modules: dict[str, torch.nn.Module], rank: int = 3, seed: int = 5
) -> dict[str, torch.Tensor]:
    """Random parts for modules by kohya's names, with one alpha."""
    torch.manual_seed(seed)
    made = {}
    for name, module in modules.items():
        rows, columns, *kernel = module.weight.shape
        made[f"{name}.lora_down.weight"] = torch.randn(rank, columns, *kernel) * 0.2
        made[f"{name}.lora_up.weight"] = torch.randn(rows, rank, *kernel) * 0.2
        made[f"{name}.alpha"] = torch.tensor(1.5)
    return made


def attended(unet: Any) -> dict[str, torch.nn.Module]:
    """The layers of attention of a U-Net, by their own names."""
    kinds = torch.nn.Linear | torch.nn.Conv2d
    return {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, kinds) and ".attentions." in name
    }


def of_text(encoder: Any, prefix: str) -> dict[str, torch.nn.Module]:
    found = {}
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Linear) and ".layers." in name:
            whole = name if name.startswith("text_model.") else f"text_model.{name}"
            found[prefix + whole.replace(".", "_")] = module
    return found


def saved(folder: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    folder.mkdir()
    save_file(tensors, folder / FILE, metadata=metadata or None)
    return folder


def require_same(source: Path, style: Path) -> None:
    made = pipeline(source)
    plain = drawn(made)
    made.load_lora_weights(style / FILE)
    wanted = drawn(made)
    assert np.abs(wanted - plain).max() > 4 * APART
    for kind in FORMATS.values():
        model = kind(source).add_adapters({"style": style})
        for adapter, picture in (("style", wanted), (None, plain)):
            model.use(adapter)
            found = model.generate(PROMPT, steps=3, guidance=3.0, seed=3)
            assert np.abs(np.asarray(found, float) - picture).max() <= APART


def test_weighted_styles_add_up_as_in_diffusers(tiny, tmp_path):
    made = pipeline(tiny)
    modules = {
        f"lora_unet_{name.replace('.', '_')}": module
        for name, module in attended(made.unet).items()
    }
    some = dict(list(modules.items())[::2]) | of_text(made.text_encoder, "lora_te_")
    styles = {
        "ink": saved(tmp_path / "ink", kohya(modules)),
        "outline": saved(tmp_path / "outline", kohya(some, rank=2, seed=6)),
    }
    for name, folder in styles.items():
        made.load_lora_weights(folder / FILE, adapter_name=name)
    choices = ({"ink": 0.6, "outline": 0.4}, {"outline": -0.5}, "ink")
    wanted = []
    for choice in choices:
        weights = choice if isinstance(choice, dict) else {choice: 1.0}
        made.set_adapters(list(weights), list(weights.values()))
        wanted.append(drawn(made))
    for kind in FORMATS.values():
        model = kind(tiny).add_adapters(styles)
        for choice, picture in zip(choices, wanted, strict=True):
            model.use(choice)
            assert model.adapter == choice
            found = model.generate(PROMPT, steps=3, guidance=3.0, seed=3)
            assert np.abs(np.asarray(found, float) - picture).max() <= APART
        for weight in (float("nan"), True, "0.5"):
            with pytest.raises(zoo.InputError, match=r"'ink' is (nan|True|'0.5'), not a"):
                model.use({"ink": weight})
        with pytest.raises(zoo.NotFound, match="no adapter 'inc'"):
            model.use({"ink": 0.5, "inc": 0.5})


def test_a_style_of_kohya_with_its_text_encoder_draws_as_in_diffusers(tiny, tmp_path):
    made = pipeline(tiny)
    modules = {
        f"lora_unet_{name.replace('.', '_')}": module
        for name, module in attended(made.unet).items()
    }
    modules |= of_text(made.text_encoder, "lora_te_")
    require_same(tiny, saved(tmp_path / "style", kohya(modules), ss_network_dim="3"))


def test_each_layer_has_its_own_alpha_and_without_one_that_is_the_rank(tmp_path):
    names = ("a.to_q", "a.to_k", "a.to_v")
    modules = {f"lora_unet_{name.replace('.', '_')}": torch.nn.Linear(6, 4) for name in names}
    tensors = kohya(modules)
    tensors["lora_unet_a_to_k.alpha"] = torch.tensor(6.0)
    del tensors["lora_unet_a_to_v.alpha"]
    style = saved(tmp_path / "style", tensors)
    found = read_adapter(style, {f"{name}.weight": (4, 6) for name in names})
    for name, scale in zip(names, (0.5, 2, 1), strict=True):
        parts = (tensors[f"lora_unet_{name.replace('.', '_')}.lora_{way}.weight"] for way in WAYS)
        up, down = parts
        change = found[f"{name}.weight"]
        np.testing.assert_allclose(change.up @ change.down, scale * (up @ down), rtol=1e-5)


def of_sgm(name: str) -> str:
    """The name of an attention of the tiny SDXL as its makers count the blocks."""
    for given, called in {
        "down_blocks_1_attentions_0_": "input_blocks_3_1_",
        "mid_block_attentions_0_": "middle_block_1_",
        "up_blocks_0_attentions_0_": "output_blocks_0_1_",
        "up_blocks_0_attentions_1_": "output_blocks_1_1_",
    }.items():
        if name.startswith(given):
            return called + name.removeprefix(given)
    raise AssertionError(name)


def test_a_style_of_kohya_for_sdxl_draws_as_in_diffusers(xl, tmp_path):
    made = pipeline(xl)
    modules = {
        f"lora_unet_{of_sgm(name.replace('.', '_'))}": module
        for name, module in attended(made.unet).items()
    }
    modules |= of_text(made.text_encoder, "lora_te1_")
    modules |= of_text(made.text_encoder_2, "lora_te2_")
    require_same(xl, saved(tmp_path / "style", kohya(modules)))


def test_a_style_that_diffusers_trains_with_a_text_encoder_draws_as_there(tiny, tmp_path):
    from peft import LoraConfig, inject_adapter_in_model

    made, more = pipeline(tiny), {}
    for name, targets, alpha in (
        ("unet", ["to_q", "to_out.0"], 8),
        ("text_encoder", ["q_proj"], 2),
    ):
        module = getattr(made, name)
        config = LoraConfig(r=4, lora_alpha=alpha, target_modules=targets)
        inject_adapter_in_model(config, module)
        torch.manual_seed(5)
        for weight_name, weight in module.named_parameters():
            if "lora_B" in weight_name:
                torch.nn.init.normal_(weight, std=0.3)
        weights = {k: v for k, v in module.state_dict().items() if "lora_" in k}
        more[f"{name}_lora_layers"] = {k.replace(".default", ""): v for k, v in weights.items()}
        described = config.to_dict()
        more[f"{name}_lora_adapter_metadata"] = described
    diffusers.StableDiffusionPipeline.save_lora_weights(tmp_path / "style", **more)
    require_same(tiny, tmp_path / "style")


def test_a_style_of_the_u_net_alone_is_read_as_diffusers_saves_it(tiny, tmp_path):
    made = pipeline(tiny)
    names = {f"lora_unet_{n.replace('.', '_')}": m for n, m in attended(made.unet).items()}
    style = saved(tmp_path / "style", kohya(names))
    made.load_lora_weights(style / FILE)
    made.unet.save_lora_adapter(tmp_path / "saved", adapter_name="default_0")
    require_same(tiny, style)
    shapes = {
        f"{name}.weight": tuple(m.weight.shape) for name, m in attended(pipeline(tiny).unet).items()
    }
    one, other = read_adapter(style, shapes), read_adapter(tmp_path / "saved", shapes)
    assert one.keys() == other.keys()
    for name, change in one.items():
        np.testing.assert_allclose(
            change.up @ change.down, other[name].up @ other[name].down, atol=1e-6
        )


def test_names_of_2023_are_read(tiny, tmp_path):
    unet = pipeline(tiny).unet
    torch.manual_seed(5)
    tensors = {}
    for name, module in attended(unet).items():
        block, _, layer = name.partition(".attn1.")
        if layer in ("to_q", "to_out.0"):
            rows, columns = module.weight.shape
            start = f"unet.{block}.attn1.processor.{layer.removesuffix('.0')}_lora"
            tensors[f"{start}.down.weight"] = torch.randn(3, columns) * 0.3
            tensors[f"{start}.up.weight"] = torch.randn(rows, 3) * 0.3
    require_same(tiny, saved(tmp_path / "style", tensors))


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("lora_unet_X.dora_scale", (24, 1), "DoRA"),
        ("lora_unet_X.hada_w1_a", (24, 3), "LoHa"),
        ("lora_unet_X.lokr_w1", (3, 3), "LoKr"),
        ("lora_unet_conv_in.lora_mid.weight", (3, 3, 3, 3), "LoCon with a core"),
    ],
)
def test_other_kinds_are_refused_with_what_to_do(tiny, tmp_path, name, shape, words):
    style = saved(tmp_path / "style", {name: torch.zeros(shape)})
    for kind in FORMATS.values():
        with pytest.raises(zoo.IntegrityError, match=words) as caught:
            kind(tiny).add_adapters({"style": style})
        assert "fuse_lora" in caught.value.hint


def test_kernels_of_more_than_one_pixel_are_refused(tiny, tmp_path):
    unet = pipeline(tiny).unet
    style = saved(tmp_path / "style", kohya({"lora_unet_conv_in": unet.conv_in}))
    with pytest.raises(zoo.IntegrityError, match="LoCon, which changes kernels"):
        TorchStableDiffusion(tiny).add_adapters({"style": style})


def test_core_ml_refuses_a_style_of_the_text_encoder(tiny, tmp_path):
    made = pipeline(tiny)
    style = saved(tmp_path / "style", kohya(of_text(made.text_encoder, "lora_te_")))
    with pytest.raises(zoo.RecipeError, match="'ink' changes text_encoder too"):
        read_styles(None, tiny, {"ink": style}, Target("iOS18", split=False))


def test_a_style_of_another_model_is_named(tiny, xl, tmp_path):
    made = pipeline(xl)
    names = {f"lora_unet_{n.replace('.', '_')}": m for n, m in attended(made.unet).items()}
    style = saved(tmp_path / "style", kohya(names))
    with pytest.raises(zoo.IntegrityError, match="is for another model"):
        TorchStableDiffusion(tiny).add_adapters({"style": style})
    shutil.rmtree(style)
