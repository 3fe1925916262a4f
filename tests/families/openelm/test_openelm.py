"""The family OpenELM: its config, its two formats, its tokenizer from elsewhere, its recipes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from worlds.openelm_checkpoint import TINY, VOCABULARY, make, write_tokenizer

import zoo
from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.recipe import read_recipe
from zoo_openelm import mlx as openelm_mlx
from zoo_openelm.config import make_divisible, parse_config, read_openelm_config
from zoo_openelm.mlx import OpenELMMLXTextModel
from zoo_openelm.torch import OpenELMTextModel

RECIPES = Path(__file__).parents[3] / "recipes" / "openelm"
PUBLISHED = {
    "270m": (16, 1280, 64, 271_527_168),
    "450m": (20, 1536, 64, 457_179_136),
    "1.1b": (28, 2048, 64, 1_079_891_456),
    "3b": (36, 3072, 128, 3_036_647_424),
}


def convert(source: Path, workdir: Path) -> Path:
    workdir.mkdir()
    return openelm_mlx.convert(source, workdir)


def change(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def first(model: zoo.TextModel, prompt: list[int], count: int) -> list[int]:
    return list(model.tokens(prompt, zoo.Sampling(max_tokens=count)))


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("openelm") / "source")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shards": 2},
        {"num_query_heads": None, "num_kv_heads": None, "model_dim": 128},
        {"share_input_output_layers": False},
        {"normalize_qk_projections": False},
        {"rope_freq_constant": 500},
    ],
    ids=["plain", "sharded", "derived-heads", "untied", "no-qk-norm", "rope"],
)
def test_torch_and_mlx_agree(tmp_path, changes):
    folder = make(tmp_path / "source", **changes)
    prompt = list(range(20, 70))
    with OpenELMTextModel.load(folder, context=None) as model:
        assert model.context == 256
        wanted, expected = model.logits(prompt), first(model, prompt, 20)
    assert wanted.shape == (50, VOCABULARY)
    assert np.ptp(wanted) > 1
    assert len(set(expected)) > 1
    with OpenELMMLXTextModel.load(convert(folder, tmp_path / "mlx"), context=None) as model:
        np.testing.assert_allclose(model.logits(prompt), wanted, atol=1e-4)
        assert first(model, prompt, 20) == expected
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("chunk", [1, 7, 49])
def test_chunks_do_not_change_the_logits(source, monkeypatch, chunk):
    tokens = list(range(10, 60))
    with OpenELMTextModel.load(source, context=None) as model:
        whole = model.logits(tokens)
        monkeypatch.setattr("zoo.formats.torch.text.CHUNK", chunk)
        np.testing.assert_allclose(model.logits(tokens), whole, atol=1e-4)


def test_a_call_leaves_the_cache_it_was_given_as_it_was(source):
    with OpenELMTextModel.load(source, context=None) as model, torch.inference_mode():
        _, cache = model.forward([5, 6, 7], None, 1)
        once, _ = model.forward([8], cache, 1)
        again, _ = model.forward([8], cache, 1)
    assert torch.equal(once, again)
    assert [keys.shape[1] for keys, _ in cache] == TINY["num_kv_heads"]


@pytest.mark.parametrize("begin", [True, False])
def test_a_prompt_begins_with_the_token_for_the_beginning(source, tmp_path, begin):
    folder = shutil.copytree(source, tmp_path / "source")
    write_tokenizer(folder, begin=begin)
    for model in (
        OpenELMTextModel.load(folder, context=None),
        OpenELMMLXTextModel.load(convert(folder, tmp_path / "mlx"), context=None),
    ):
        with model:
            ids = model.encode("the red cat")
            assert ids.count(TINY["bos_token_id"]) == 1
            assert ids[0] == TINY["bos_token_id"]
            assert model.tokenizer.decode(ids).strip() == "the red cat"
            assert model.context == 256


@pytest.mark.parametrize("size", PUBLISHED)
def test_the_published_sizes(size):
    layers, model_dim, head_dim, parameters = PUBLISHED[size]
    heads = {"num_query_heads": None, "num_kv_heads": None, "num_gqa_groups": 4}
    dims = {"num_transformer_layers": layers, "model_dim": model_dim, "head_dim": head_dim}
    others = {"vocab_size": 32000, "ffn_multipliers": [0.5, 4.0], "ffn_dim_divisor": 256}
    data = {**TINY, **heads, **dims, **others}
    config = parse_config({k: v for k, v in data.items() if v is not None})
    assert config.parameters == parameters
    for multipliers, exact in (([0.5, 1.0], config.query_heads), ([0.5, 4.0], config.ffn_widths)):
        spread = [round(m, 2) for m in np.linspace(*multipliers, layers)]
        unit, step = (head_dim, 4 * head_dim) if exact is config.query_heads else (1, 256)
        assert exact == tuple(make_divisible(m * model_dim, step) // unit for m in spread)
    for variant in (size, f"{size}-instruct"):
        recipe = read_recipe(RECIPES / f"{variant}.toml")
        assert recipe.parameters == parameters
        assert not recipe.source.pinned
        assert recipe.tokenizer.pinned
        assert recipe.source.repo.endswith("-Instruct") == variant.endswith("-instruct")


def test_the_bare_name_follows_instructions():
    assert open_catalog().resolve("openelm")[0].source.repo == "apple/OpenELM-270M-Instruct"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'; of an OpenELM, it must be 'openelm'"),
        ({"activation_fn_name": "gelu"}, "activation_fn_name is 'gelu'"),
        ({"ffn_with_glu": False}, "ffn_with_glu is False"),
        ({"model_dim": "64"}, "model_dim must be a whole number above 0, not '64'"),
        ({"num_query_heads": [4, 4]}, "num_query_heads must have one entry for each of 3 layers"),
        ({"num_kv_heads": [1, 3, 4]}, "4 query heads of layer 1 do not share 3 key heads"),
        ({"num_kv_heads": [1, 0, 4]}, "num_kv_heads must be a whole number above 0, not 0"),
        ({"ffn_multipliers": [1, 2, 3, 4]}, "ffn_multipliers must be a number, two, or one for"),
        ({"ffn_multipliers": [1, -2, 3]}, "ffn_multipliers must be a number above 0, not -2"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps must be a number above 0"),
        ({"share_input_output_layers": None}, "share_input_output_layers must be true or false"),
        ({"head_dim": 15}, "head_dim must be even"),
        ({"bos_token_id": 320}, "bos_token_id must be below 320"),
    ],
)
def test_a_wrong_config_is_refused(source, tmp_path, values, words):
    folder = shutil.copytree(source, tmp_path / "wrong")
    change(folder, **values)
    for refuse in (read_openelm_config, lambda f: convert(f, tmp_path / "mlx")):
        with pytest.raises(zoo.IntegrityError, match=r"config\.json: ") as caught:
            refuse(folder)
        assert words in caught.value.message


@pytest.mark.parametrize("content", ["[]", "{", '"x"'])
def test_a_config_that_is_no_table_is_refused(source, tmp_path, content):
    folder = shutil.copytree(source, tmp_path / "wrong")
    (folder / "config.json").write_text(content)
    with pytest.raises(zoo.IntegrityError, match=r"config\.json"):
        read_openelm_config(folder)


def drop(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["transformer.extra.weight"] = weights.pop("transformer.norm.weight").clone()
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: change(f, model_dim=128), "has the shape (320, 64), not (320, 128); "),
        (lambda f: change(f, num_transformer_layers=2, num_query_heads=[4, 4],
                          num_kv_heads=[1, 2], ffn_multipliers=[0.5, 1.0]), "'transformer.layers.2."),
        (lambda f: change(f, ffn_multipliers=[0.5, 1.0, 3.0]), "layers.2.ffn.proj_1.weight' has the shape"),
        (drop, "'transformer.norm.weight' is missing; 'transformer.extra.weight' is unknown"),
        (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x08" + bytes(20)), "is not a valid safetensors file"),
    ],
    ids=["dim", "layers", "width", "names", "none", "corrupt"],
)  # fmt: skip
def test_weights_that_are_not_the_configs_are_refused(source, tmp_path, spoil, words):
    folder = shutil.copytree(source, tmp_path / "wrong")
    spoil(folder)
    for refuse in (
        lambda: OpenELMTextModel.load(folder, context=None),
        lambda: convert(folder, tmp_path / "mlx"),
    ):
        shutil.rmtree(tmp_path / "mlx", ignore_errors=True)
        with pytest.raises(zoo.IntegrityError) as caught:
            refuse()
        assert words in caught.value.message


def test_a_checkpoint_without_tokenizer_says_so(tmp_path):
    folder = make(tmp_path / "source", tokenizer=False)
    with pytest.raises(zoo.NotFound, match="has no tokenizer"):
        OpenELMTextModel.load(folder, context=None)
    with pytest.raises(zoo.NotFound, match="has no tokenizer"):
        OpenELMMLXTextModel.load(convert(folder, tmp_path / "mlx"), context=256)
