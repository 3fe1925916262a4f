"""Which files of a folder or repository are the checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from zoo.errors import IntegrityError
from zoo.formats.checkpoint import checkpoint_files, choose_weights, read_json, weight_files


def transformers_folder(folder: Path, shard: str | None = None, seed: int = 0) -> Path:
    """A small checkpoint as transformers writes it."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1,
    )  # fmt: skip
    more = {"max_shard_size": shard} if shard else {}
    MistralForCausalLM(config).save_pretrained(folder, **more)
    return folder


def names_in(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_shards_of_an_earlier_save_and_the_makers_own_copy_are_left_out(tmp_path: Path) -> None:
    folder = transformers_folder(tmp_path / "m", "8KB")
    own = [path.name for path in weight_files(folder)]
    assert len(own) > 1
    (folder / "model-00001-of-00099.safetensors").write_bytes(b"stale")
    (folder / "consolidated.safetensors").write_bytes(b"copy")
    (folder / "adapter_model.safetensors").write_bytes(b"adapter")
    assert [path.name for path in weight_files(folder)] == own
    read = checkpoint_files(names_in(folder), lambda name: (folder / name).read_bytes())
    assert [name for name in read if name.endswith(".safetensors")] == own
    assert {"model.safetensors.index.json", "config.json"} <= set(read)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = transformers_folder(tmp_path / "m", "8KB")
    gone = weight_files(folder)[1]
    gone.unlink()
    with pytest.raises(IntegrityError, match=gone.name):
        weight_files(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(IntegrityError, match=gone.name):
        weight_files(folder)


@pytest.mark.parametrize("target", ["../m/model.safetensors", "/etc/x.safetensors", "evil.bin"])
def test_an_index_leads_nowhere_else(tmp_path: Path, target: str) -> None:
    index = {"weight_map": {"a": target}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "evil.bin").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="not a safetensors file beside it"):
        weight_files(tmp_path)


def test_two_different_saves_are_refused_and_two_copies_are_not(tmp_path: Path) -> None:
    folder = transformers_folder(tmp_path / "m", "8KB")
    shards = weight_files(folder)
    merged = {name: weight for path in shards for name, weight in load_file(path).items()}
    save_file(merged, folder / "model.safetensors")
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]
    save_file({name: weight + 1 for name, weight in merged.items()}, folder / "model.safetensors")
    with pytest.raises(IntegrityError, match="two saved models"):
        weight_files(folder)


def test_what_diffusers_writes_is_one_copy_of_every_component(tmp_path: Path) -> None:
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(
        sample_size=8, block_out_channels=(8,), down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",), norm_num_groups=4, layers_per_block=1,
    )  # fmt: skip
    unet.save_pretrained(tmp_path / "unet", max_shard_size="10KB")
    unet.save_pretrained(tmp_path / "unet", variant="fp16", max_shard_size="10KB")
    unet.save_pretrained(tmp_path / "vae", variant="fp16")
    (tmp_path / "model_index.json").write_text(json.dumps({"unet": ["diffusers", "x"], "vae": []}))
    (tmp_path / "v1-5-pruned.safetensors").write_bytes(b"the same in one file")
    (tmp_path / "safety_checker").mkdir()
    (tmp_path / "safety_checker" / "model.safetensors").write_bytes(b"no component")
    chosen = checkpoint_files(names_in(tmp_path), lambda name: (tmp_path / name).read_bytes())
    weights = [name for name in chosen if name.endswith(".safetensors")]
    assert all("fp16" not in name for name in weights if name.startswith("unet/"))
    assert len([name for name in weights if name.startswith("unet/")]) > 1
    assert "vae/diffusion_pytorch_model.fp16.safetensors" in weights
    assert "v1-5-pruned.safetensors" not in weights
    assert not any(name.startswith("safety_checker") for name in weights)
    assert weight_files(tmp_path / "unet") == [
        tmp_path / name for name in weights if name.startswith("unet/")
    ]


def test_other_models_in_subfolders_and_pickles_are_left_out() -> None:
    names = [
        "config.json", "model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json",
        "training_args.bin", "checkpoint-500/model.safetensors", "onnx/model.onnx", "README.md",
        "adapter_config.json", "adapter_model.safetensors", "model.fp16.safetensors",
        "tokenizer.json", "consolidated.safetensors", "model.safetensors.index.json",
    ]  # fmt: skip
    assert checkpoint_files(names) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_an_adapter_by_itself_is_taken() -> None:
    names = ["adapter_config.json", "adapter_model.safetensors", "README.md"]
    assert checkpoint_files(names) == ["adapter_config.json", "adapter_model.safetensors"]


def test_variants_that_nobody_prefers_are_refused() -> None:
    with pytest.raises(IntegrityError, match="ema, non_ema"):
        choose_weights(["model.ema.safetensors", "model.non_ema.safetensors"])


PIECES = st.sampled_from(
    ["model", "diffusion_pytorch_model", "weights", "consolidated", "adapter_model"]
)
ENDINGS = st.sampled_from(
    [".safetensors", ".fp16.safetensors", "-00001-of-00002.safetensors", ".index.json",
     "-00002-of-00002.safetensors", "-00001-of-00001.fp16.safetensors",
     ".safetensors.index.json", ".safetensors.index.fp16.json", ".bin", ".json"]
)  # fmt: skip


@example({"diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json"})
@given(st.sets(st.tuples(PIECES, ENDINGS).map("".join)))
def test_any_set_of_names_gives_some_of_them_or_a_sentence(names: set[str]) -> None:
    try:
        chosen = choose_weights(names)
    except IntegrityError:
        return
    assert set(chosen) <= names
    variants = {(name.split(".")[0].split("-")[0], ".fp16." in name) for name in chosen}
    assert len(variants) == len({stem for stem, _ in variants})
    assert all(name.endswith(".safetensors") for name in chosen)
    assert bool(chosen) == any(name.endswith(".safetensors") for name in names)


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[]", b'{"a": ' + b"9" * 10_000 + b"}", b""])
def test_json_of_another_kind_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        read_json(tmp_path / "config.json")
    assert len(caught.value.message) < 400
