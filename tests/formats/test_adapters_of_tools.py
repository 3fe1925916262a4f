"""Adapters that PEFT and mlx-lm themselves write: applied as they apply them, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formats.test_text_models import make
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import MistralForCausalLM

import zoo
from zoo.formats.adapters import read_adapter
from zoo.formats.mlx.text import MLXTextModel
from zoo.formats.tensors import Tensors
from zoo_mistral import mlx as mistral_mlx
from zoo_mistral.torch import MistralTextModel

PROMPT = list(range(20, 50))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("base") / "source")


def trained(base: Path, folder: Path, **options: Any) -> Path:
    """An adapter that PEFT saves, with parts that do something."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **options}
    module = MistralForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(1)
    tuned = get_peft_model(module, LoraConfig(task_type="CAUSAL_LM", **settings))
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            weight.data.normal_(0, 0.2)
    tuned.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"down_proj": 32}, "rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {r".*\.1\.mlp\.down_proj|q_proj": 1}},
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": "all-linear", "init_lora_weights": "gaussian"},
        {"layers_to_transform": [1], "lora_dropout": 0.5},
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_logits_are_those_of_peft(base: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    folder = trained(base, tmp_path / "ink", **options)
    module = MistralForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.inference_mode():
        tuned = PeftModel.from_pretrained(module, folder).eval()
        wanted = tuned(torch.tensor([PROMPT])).logits[0].numpy()
    with MistralTextModel.load(base).add_adapters({"ink": folder}) as model:
        plain = model.logits(PROMPT)
        model.use("ink")
        np.testing.assert_allclose(model.logits(PROMPT), wanted, atol=2e-4 * np.ptp(wanted))
    assert np.abs(plain - wanted).max() > 0.01 * np.ptp(wanted)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa'"),
        ({"init_lora_weights": "olora"}, "init_lora_weights = 'olora'"),
        ({"use_dora": True}, "use_dora.*DoRA"),
        ({"bias": "all"}, "biases beside"),
        ({"modules_to_save": ["lm_head"]}, "whole layers"),
        ({"lora_bias": True}, "biases in the LoRA"),
        ({"target_modules": ["embed_tokens"]}, "LoRA of the embedding"),
        ({"target_parameters": ["lm_head.weight"]}, "parameters that are no layers"),
    ],
)
def test_what_is_no_plain_lora_is_named(
    base: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    folder = trained(base, tmp_path / "ink", **options)
    with pytest.raises(zoo.IntegrityError, match=words) as caught:
        read_adapter(folder, Tensors(base).shapes)
    assert "merge_and_unload" in (caught.value.hint or "")


def test_what_mlx_lm_trains_is_applied(base: Path, tmp_path: Path) -> None:
    import mlx.core as mx
    from mlx import optimizers
    from mlx_lm.tuner.datasets import CacheDataset
    from mlx_lm.tuner.trainer import TrainingArgs, train
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    folder, source = tmp_path / "ink", tmp_path / "mlx"
    folder.mkdir()
    source.mkdir()
    module, _ = load_model(mistral_mlx.convert(base, source))
    module.set_dtype(mx.float32)
    module.freeze()
    settings = {"rank": 4, "scale": 3.0, "dropout": 0.0}
    linear_to_lora_layers(module, 2, settings)
    arguments = TrainingArgs(
        batch_size=1, iters=2, steps_per_report=5, steps_per_eval=5, val_batches=0,
        max_seq_length=32, adapter_file=str(folder / "adapters.safetensors"),
    )  # fmt: skip

    class Lines:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, number: int) -> tuple[list[int], int]:
            return PROMPT, 0

        def process(self, line: Any) -> Any:
            return line

    train(module, optimizers.Adam(0.1), CacheDataset(Lines()), None, args=arguments)
    written = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": settings, "iters": 2}
    (folder / "adapter_config.json").write_text(json.dumps(written))
    module.eval()
    wanted = np.array(module(mx.array([PROMPT]))[0])
    with MLXTextModel.load(source, context=None).add_adapters({"ink": folder}) as model:
        assert np.abs(model.logits(PROMPT) - wanted).max() > 0.01 * np.ptp(wanted)
        model.use("ink")
        np.testing.assert_allclose(model.logits(PROMPT), wanted, atol=1e-3 * np.ptp(wanted))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda c: c | {"lora_alpha": float("nan")}, "lora_alpha"),
        (lambda c: c | {"lora_alpha": 1e300}, "lora_alpha"),
        (lambda c: c | {"alpha_pattern": {"(((": 1}}, "alpha_pattern"),
        (lambda c: c | {"alpha_pattern": {"(([a-z_.0-9]+)+)+!": 1}}, "alpha_pattern"),
        (lambda c: c | {"alpha_pattern": [1]}, "not a table"),
        (lambda c: c | {"peft_type": []}, "only LoRA is supported"),
        (lambda c: c | {"peft_type": "LOHA"}, "only LoRA is supported"),
        (lambda c: c | {"option_of_tomorrow": 3}, "option_of_tomorrow.*does not support"),
        (lambda c: {k: v for k, v in c.items() if k != "lora_alpha"}, "no lora_alpha"),
    ],
)
def test_a_hostile_config_is_refused_at_once(
    base: Path, tmp_path: Path, edit: Callable[[Any], Any], words: str
) -> None:
    folder = trained(base, tmp_path / "ink")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    with pytest.raises(zoo.IntegrityError, match=words):
        read_adapter(folder, Tensors(base).shapes)
