"""Pipeline folders that are damaged, or of something else: each format says what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from worlds import diffusion_checkpoint
from worlds.coreml_builds import make_build

import zoo
import zoo_stable_diffusion.coreml.plugin
import zoo_stable_diffusion.mlx.plugin
from zoo_stable_diffusion.coreml.components import Conversion
from zoo_stable_diffusion.mlx.plugin import MLXStableDiffusion
from zoo_stable_diffusion.torch import TorchStableDiffusion

UNET = Path("unet", "diffusion_pytorch_model.safetensors")
TEXT = Path("text_encoder", "model.safetensors")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return diffusion_checkpoint.make(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "source" / "whole")


def converted(folder: Path) -> None:
    """Convert to Core ML as far as loading goes: converting itself takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conversion, "write", lambda *_, **__: None)
        make_build(zoo_stable_diffusion.coreml.plugin, folder, folder.parent / "made")


FORMATS = {"torch": TorchStableDiffusion, "mlx": MLXStableDiffusion, "coreml": converted}


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def rename(folder: Path) -> None:
    (folder / UNET).rename((folder / UNET).with_suffix(".bin"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def drop(folder: Path) -> None:
    weights = load_file(folder / TEXT)
    del weights[next(name for name in weights if name.endswith("final_layer_norm.weight"))]
    save_file(weights, folder / TEXT, metadata={"format": "pt"})


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pickled": (rename, "pickled weights, which can run code when read"),
    "no index": (
        lambda folder: (folder / "model_index.json").unlink(),
        "has no model_index.json, so it is not a diffusers pipeline",
    ),
    "torn index": (
        lambda folder: (folder / "model_index.json").write_text("{"),
        "model_index.json cannot be read",
    ),
    "another pipeline": (
        lambda folder: change(folder / "model_index.json", _class_name="FluxPipeline"),
        "describes a 'FluxPipeline', not a Stable Diffusion pipeline",
    ),
    "no U-Net": (lambda folder: shutil.rmtree(folder / "unet"), "has no folder 'unet'"),
    "no autoencoder": (lambda folder: shutil.rmtree(folder / "vae"), "has no folder 'vae'"),
    "no tokenizer": (
        lambda folder: shutil.rmtree(folder / "tokenizer"),
        "has no folder 'tokenizer'",
    ),
    "no text encoder": (
        lambda folder: shutil.rmtree(folder / "text_encoder"),
        r"text_encoder.* (has no model.safetensors|cannot be read)",
    ),
    "truncated U-Net": (
        lambda folder: truncate(folder / UNET),
        r"unet/diffusion_pytorch_model\.safetensors (cannot be (loaded|read)|is not a valid)",
    ),
    "wider U-Net": (
        lambda folder: change(folder / "unet" / "config.json", cross_attention_dim=72),
        r"cross_attention_dim = 72, but its text encoders give",
    ),
    "shallower U-Net": (
        lambda folder: change(folder / "unet" / "config.json", layers_per_block=1),
        r"unet/diffusion_pytorch_model\.safetensors.*(does not describe|lacks|shape|cannot be loaded)",
    ),
    "blocks of a million layers": (
        lambda folder: change(folder / "unet" / "config.json", layers_per_block=10**6),
        "layers_per_block = 1000000, which zoo does not support",
    ),
    "transformers of a million layers": (
        lambda folder: change(folder / "unet" / "config.json", transformer_layers_per_block=10**6),
        "transformer_layers_per_block = 1000000, which zoo does not support",
    ),
    "a deep autoencoder": (
        lambda folder: change(folder / "vae" / "config.json", layers_per_block=10**6),
        "layers_per_block = 1000000, which zoo does not support",
    ),
    "no heads": (
        lambda folder: change(folder / "unet" / "config.json", attention_head_dim=0),
        "attention_head_dim = 0, which zoo does not support",
    ),
    "no channels": (
        lambda folder: change(folder / "unet" / "config.json", block_out_channels=[0]),
        r"block_out_channels = \[0\], which zoo does not support",
    ),
    "a weight less": (
        drop,
        r"text_encoder/model\.safetensors lacks '.*final_layer_norm\.weight'",
    ),
    "more tokens than are known": (
        lambda folder: change(folder / "text_encoder" / "config.json", vocab_size=9),
        "tokens, but .*text_encoder has embeddings for 9",
    ),
    "an unknown key": (
        lambda folder: change(folder / "vae" / "config.json", sharpness=2),
        r"vae/config\.json has the key 'sharpness' \(2\), which zoo does not support",
    ),
    "an unknown key of the scheduler": (
        lambda folder: change(
            folder / "scheduler" / "scheduler_config.json", predict_epsilon=False
        ),
        "predict_epsilon = False, which PNDMScheduler of diffusers does not read",
    ),
    "another VAE": (
        lambda folder: change(folder / "vae" / "config.json", _class_name="AutoencoderTiny"),
        "has the class 'AutoencoderTiny'; it must be AutoencoderKL",
    ),
    "a shift of latents": (
        lambda folder: change(folder / "vae" / "config.json", shift_factor=0.1),
        r"shift_factor = 0\.1",
    ),
    "an unknown scheduler": (
        lambda folder: change(
            folder / "scheduler" / "scheduler_config.json", _class_name="OddScheduler"
        ),
        "scheduler of the source, 'OddScheduler', is not supported",
    ),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_folder_is_named(folder, fault, format):
    damage, words = FAULTS[fault]
    damage(folder)
    with pytest.raises(zoo.IntegrityError, match=words):
        FORMATS[format](folder)


@pytest.mark.parametrize("format", ["torch", "mlx"])
def test_each_format_refuses_the_same_input(sound, format):
    model = FORMATS[format](sound)
    for options, words in (
        ({"width": 60}, "the width must be a multiple of 8 pixels, not 60"),
        ({"scheduler": "dim"}, "unknown scheduler 'dim', did you mean 'ddim'?"),
    ):
        with pytest.raises(zoo.InputError) as caught:
            model.stream("a red circle", **options)
        assert words in str(caught.value)
    long = " ".join(["a red circle"] * 25 + ["ring"])
    with pytest.warns(UserWarning, match="truncated: 'ring'"):
        next(iter(model.stream(long, steps=1)))


def test_a_build_that_lost_a_package_is_refused(sound, tmp_path):
    with pytest.raises(zoo.IntegrityError, match=r"text_encoder\.mlpackage"):
        zoo_stable_diffusion.coreml.model.CoreMLStableDiffusion(sound)
