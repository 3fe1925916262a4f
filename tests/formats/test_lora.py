"""LoRA adapters of language models: the same in every format, as if merged into the weights."""

from __future__ import annotations

import json
from pathlib import Path

import formats.test_text_models as mistral_checkpoint
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from worlds import openelm_checkpoint
from worlds.coreml_builds import make_build, package_of

import zoo
import zoo_mistral.coreml
import zoo_openelm.coreml
from zoo.formats.adapters import read_adapter
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.formats.coreml.package.proto import WEIGHT_FILE
from zoo.formats.coreml.package.reader import Package
from zoo.formats.mlx.text import MLXTextModel
from zoo.formats.tensors import Tensors
from zoo_mistral import mlx as mistral_mlx
from zoo_mistral.torch import MistralTextModel
from zoo_openelm import mlx as openelm_mlx
from zoo_openelm.coreml import OpenELMCoreMLTextModel
from zoo_openelm.mlx import OpenELMMLXTextModel
from zoo_openelm.torch import OpenELMTextModel

RANK, PROMPT = 4, list(range(20, 60))
CHANGED = {
    "mistral": ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj", "lm_head"],
    "openelm": ["transformer.layers.0.attn.qkv_proj", "transformer.layers.2.ffn.proj_1"],
}
MAKE = {"mistral": mistral_checkpoint.make, "openelm": openelm_checkpoint.make}
PLUGIN = {"mistral": zoo_mistral.coreml, "openelm": zoo_openelm.coreml}
TORCH = {"mistral": MistralTextModel, "openelm": OpenELMTextModel}
MLX = {"mistral": (mistral_mlx, MLXTextModel), "openelm": (openelm_mlx, OpenELMMLXTextModel)}
COREML = {"mistral": CoreMLTextModel, "openelm": OpenELMCoreMLTextModel}


def products(family: str, source: Path, seed: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """For each changed layer, random A of (rank, in) and B of (out, rank)."""
    torch.manual_seed(seed)
    shapes = Tensors(source).shapes
    return {
        layer: (torch.randn(RANK, columns) / columns**0.5, torch.randn(rows, RANK) / 4)
        for layer in CHANGED[family]
        for rows, columns in [shapes[f"{layer}.weight"]]
    }


def write_peft(folder: Path, parts: dict, **config) -> Path:
    folder.mkdir()
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 2 * RANK, **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    tensors = {}
    for layer, (down, up) in parts.items():
        tensors[f"base_model.model.{layer}.lora_A.weight"] = down
        tensors[f"base_model.model.{layer}.lora_B.weight"] = up
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def write_mlx(folder: Path, parts: dict, **config) -> Path:
    folder.mkdir()
    settings = {"fine_tune_type": "lora", "lora_parameters": {"rank": RANK, "scale": 2.0}, **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    tensors = {}
    for layer, (down, up) in parts.items():
        tensors[f"{layer}.lora_a"] = down.T.contiguous()
        tensors[f"{layer}.lora_b"] = up.T.contiguous()
    save_file(tensors, folder / "adapters.safetensors")
    return folder


def merged(source: Path, folder: Path, parts: dict) -> Path:
    """The checkpoint with twice the products added to its weights."""
    folder.mkdir()
    for path in source.iterdir():
        if path.suffix != ".safetensors" and path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(source / "model.safetensors")
    for layer, (down, up) in parts.items():
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"].float() + 2 * up @ down
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(params=["mistral", "openelm"])
def family(request) -> str:
    return request.param


@pytest.fixture
def given(family, tmp_path):
    """A source, two adapters in both layouts, and the logits of the source and of each merge."""
    source = MAKE[family](tmp_path / "source")
    folders, wanted = {}, {}
    for seed, (name, write) in enumerate((("pirate", write_peft), ("poet", write_mlx)), 1):
        parts = products(family, source, seed)
        folders[name] = write(tmp_path / name, parts)
        with TORCH[family].load(
            merged(source, tmp_path / f"merged-{name}", parts), context=None
        ) as m:
            wanted[name] = m.logits(PROMPT)
    with TORCH[family].load(source, context=None) as m:
        wanted[None] = m.logits(PROMPT)
    return source, folders, wanted


def require_switching(model: zoo.TextModel, wanted: dict, tolerance: float) -> None:
    assert tuple(model.adapters) == ("pirate", "poet")
    for name in (None, "pirate", "poet", "pirate", None):
        model.use(name)
        assert model.adapter == name
        apart = np.abs(model.logits(PROMPT) - wanted[name]).max()
        assert apart < tolerance * np.ptp(wanted[name])
    assert np.abs(wanted["pirate"] - wanted[None]).max() > 0.1 * np.ptp(wanted[None])
    with pytest.raises(zoo.NotFound, match="no adapter 'parrot'"):
        model.use("parrot")


def test_by_pytorch(family, given):
    source, folders, wanted = given
    with TORCH[family].load(source, context=None).add_adapters(folders) as model:
        require_switching(model, wanted, 1e-4)


def test_by_mlx(family, given, tmp_path):
    source, folders, wanted = given
    module, kind = MLX[family]
    (tmp_path / "mlx").mkdir()
    with kind.load(module.convert(source, tmp_path / "mlx"), context=None).add_adapters(
        folders
    ) as model:
        require_switching(model, wanted, 1e-4)


@pytest.mark.parametrize(
    "passes",
    [pytest.param((), marks=pytest.mark.long), ({"kind": "quantize", "bits": 8},)],
    ids=["fp16", "int8"],
)
def test_by_coreml(family, given, tmp_path, passes):
    source, folders, wanted = given
    build = make_build(PLUGIN[family], source, tmp_path / "with", *passes, adapters=folders)
    with COREML[family].load(build, mode="fp32") as model:
        require_switching(model, wanted, 0.2 if passes else 0.01)
    alone = make_build(PLUGIN[family], source, tmp_path / "alone", *passes)
    added = sum(
        2 * part.size
        for folder in folders.values()
        for change in read_adapter(folder, Tensors(source).shapes).values()
        for part in (change.down, change.up)
    )
    sizes = [(package_of(made) / WEIGHT_FILE).stat().st_size for made in (alone, build)]
    assert added < sizes[1] - sizes[0] < 1.5 * added + 8192
    assert Package(package_of(build)).functions == ["main", "pirate", "poet"]


def test_a_quantized_mlx_build_takes_adapters(tmp_path):
    from mlx import nn

    source = MAKE["mistral"](tmp_path / "source")
    folder = write_peft(tmp_path / "pirate", products("mistral", source, 1))
    (tmp_path / "mlx").mkdir()
    model = MLXTextModel.load(mistral_mlx.convert(source, tmp_path / "mlx"), context=None)
    plain = model.logits(PROMPT)
    nn.quantize(model._module, group_size=64, bits=8)
    model.add_adapters({"pirate": folder})
    base = model.logits(PROMPT)
    model.use("pirate")
    assert np.abs(base - plain).max() < 0.2 * np.ptp(plain)
    assert np.abs(model.logits(PROMPT) - base).max() > 0.1 * np.ptp(plain)


SHAPES = {"a.weight": (6, 8)}
PARTS = {"a": (torch.ones(RANK, 8), torch.ones(6, RANK))}


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 2.0),
        ({"use_rslora": True}, 4.0),
        ({"alpha_pattern": {"a": 4}}, 1.0),
        ({"alpha_pattern": {"b": 4}}, 2.0),
        ({"lora_alpha": 3}, 0.75),
    ],
)
def test_the_scale_is_pefts(tmp_path, config, scale):
    change = read_adapter(write_peft(tmp_path / "x", PARTS, **config), SHAPES)["a.weight"]
    np.testing.assert_allclose(change.up @ change.down, scale * RANK)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"use_dora": True}, "use_dora = 'True', DoRA"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "has the kind 'IA3'; only LoRA is supported"),
        ({"lora_alpha": "much"}, "lora_alpha = 'much', which is not a number"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path, config, words):
    with pytest.raises(zoo.IntegrityError, match=words):
        read_adapter(write_peft(tmp_path / "x", PARTS, **config), SHAPES)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({}, "is for another model: it changes 'a.weight', which this model does not have"),
        ({"a.weight": (6, 9)}, r"in the shape \(6, 8\), and here it is \(6, 9\)"),
    ],
)
def test_an_adapter_of_another_model_is_refused(tmp_path, shapes, words):
    folder = write_peft(tmp_path / "x", PARTS, base_model_name_or_path="acme/other")
    with pytest.raises(zoo.IntegrityError, match=words) as caught:
        read_adapter(folder, shapes)
    assert caught.value.hint == "it was made for 'acme/other'"


def test_a_damaged_adapter_is_refused(tmp_path):
    folder = write_peft(tmp_path / "half", PARTS)
    save_file({"a.lora_A.weight": PARTS["a"][0]}, folder / "adapter_model.safetensors")
    with pytest.raises(zoo.IntegrityError, match="only one of the two matrices for"):
        read_adapter(folder, SHAPES)
    save_file({"a.other": PARTS["a"][0]}, folder / "adapter_model.safetensors")
    with pytest.raises(zoo.IntegrityError, match=r"'a\.other' .* is not a LoRA weight"):
        read_adapter(folder, SHAPES)
    (folder / "adapter_config.json").write_text("[]")
    with pytest.raises(zoo.IntegrityError, match="must be a JSON object"):
        read_adapter(folder, SHAPES)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(zoo.IntegrityError, match="has neither"):
        read_adapter(folder, SHAPES)
