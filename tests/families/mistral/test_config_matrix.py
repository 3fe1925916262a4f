"""Every key of a Mistral's config at unusual values: agrees with transformers, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formats.test_text_models import make
from transformers import MistralConfig, MistralForCausalLM

import zoo
from zoo.formats.mlx.text import MLXTextModel
from zoo_mistral import mlx as mistral_mlx
from zoo_mistral.config import for_coreml, for_mlx, parse_config, read_mistral_config
from zoo_mistral.torch import MistralTextModel

PROMPT = list(range(20, 60))
ROPE = {"rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
YARN = {"rope_type": "yarn", **ROPE}
LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, **ROPE}
BUILT = [
    {"hidden_act": "gelu"},
    {"head_dim": 20},
    {"num_key_value_heads": 1},
    {"rms_norm_eps": 0.1},
    {"sliding_window": 5},
    {"tie_word_embeddings": True},
    {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}},
    {"rope_parameters": YARN},
    {"rope_parameters": {**YARN, "attention_factor": 1.3}},
    {"rope_parameters": {**YARN, "truncate": False}},
    {"rope_parameters": {**YARN, "mscale": 1.5}},
    {"rope_parameters": {**YARN, "mscale": 1.5, "mscale_all_dim": 0.7}},
    {"rope_parameters": {**YARN, "beta_fast": 8.0, "beta_slow": 2.0}},
    {"rope_parameters": LLAMA3},
]


@pytest.mark.parametrize("changes", BUILT, ids=lambda c: json.dumps(c)[:60])
def test_formats_agree_with_transformers_or_refuse(tmp_path: Path, changes: dict[str, Any]) -> None:
    source = make(tmp_path / "source", **changes)
    reference = MistralForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.inference_mode():
        wanted = reference(torch.tensor([PROMPT])).logits[0].numpy()
    with MistralTextModel.load(source) as model:
        np.testing.assert_allclose(model.logits(PROMPT), wanted, atol=1e-4 * np.ptp(wanted))
    (tmp_path / "mlx").mkdir()
    config = read_mistral_config(source)
    refused = config.hidden_act != "silu" or config.rope.parameters.get("attention_factor")
    if refused or config.rope.parameters.get("truncate") is False:
        with pytest.raises(zoo.IntegrityError, match="mlx does not support"):
            mistral_mlx.convert(source, tmp_path / "mlx")
        return
    folder = mistral_mlx.convert(source, tmp_path / "mlx")
    with MLXTextModel.load(folder, context=None) as model:
        np.testing.assert_allclose(model.logits(PROMPT), wanted, atol=1e-3 * np.ptp(wanted))


SMALL = {
    "model_type": "mistral", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocab_size": 2**40}, "vocab_size must be a whole number"),
        ({"hidden_size": 1.5}, "hidden_size must be"),
        ({"num_hidden_layers": True}, "num_hidden_layers must be"),
        ({"num_attention_heads": 3}, "do not share|head_dim"),
        ({"num_key_value_heads": 0}, "num_key_value_heads must be"),
        ({"head_dim": 3}, "head_dim must be even"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps must be"),
        ({"sliding_window": 0}, "sliding_window must be"),
        ({"tie_word_embeddings": "x"}, "tie_word_embeddings must be true or false"),
        ({"attention_bias": True}, "attention_bias is True"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder"),
        ({"hidden_act": "evil"}, "hidden_act"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
        ({"rope_parameters": 3}, "rope_parameters must be a table"),
        ({"rope_scaling": {"type": "yarn"}}, "needs factor"),
        ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "factor must be"),
        ({"rope_scaling": {"rope_type": "evil"}}, "'evil' is not supported"),
        ({"rope_scaling": {"type": "linear", "factor": 2, "evil": 1}}, "does not take 'evil'"),
        ({"rope_theta": 0}, "rope_theta must be"),
        ({"eos_token_id": "x"}, "eos_token_id must be"),
        ({"text_config": {"auto_map": {}}}, "'text_config', which zoo does not support"),
        ({"model_type": "llama"}, "model_type is 'llama'"),
    ],
)
def test_what_means_something_else_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_config({**SMALL, **changes})


@pytest.mark.parametrize(
    "notes",
    [
        {"attn_implementation": "evil/kernel", "use_kernels": True, "_attn_implementation": "x"},
        {"torch_dtype": "float16", "transformers_version": "4.34.0", "_name_or_path": "x"},
        {"temperature": 0.3, "max_length": 20, "architectures": ["MistralForCausalLM"]},
        {"unknown_and_empty": None, "another": {}, "third": False},
    ],
)
def test_notes_change_nothing_and_reach_no_library(notes: dict[str, Any]) -> None:
    config = parse_config({**SMALL, **notes})
    assert config == parse_config(SMALL)
    assert not set(notes) - {"architectures"} & set(for_mlx(config))


def test_missing_keys_mean_what_transformers_means() -> None:
    config, defaults = parse_config(SMALL), MistralConfig()
    for key in ("max_position_embeddings", "sliding_window", "hidden_act", "tie_word_embeddings"):
        assert getattr(config, key) == getattr(defaults, key), key
    assert config.rope.theta == defaults.rope_parameters["rope_theta"]
    assert for_coreml(config, None).window == defaults.sliding_window


def test_names_of_a_wrapped_module_are_told(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    source = make(tmp_path / "source")
    path = source / "model.safetensors"
    save_file({f"_orig_mod.{name}": w for name, w in load_file(path).items()}, path)
    with pytest.raises(zoo.IntegrityError, match="is missing") as caught:
        read_mistral_config(source)
    assert "_orig_mod." in (caught.value.hint or "")
