"""Families of decoders as data: torch, MLX and Core ML agree with transformers, or refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import zoo
from zoo.catalogs.recipe import Build, Recipe
from zoo.catalogs.source import Source
from zoo.decoders import DecoderFamily, FullLayers
from zoo.progress import Progress
from zoo.testing.checkpoints.text import write_language_model

ATTENTION, MLP = ("q", "k", "v", "o"), ("gate", "up", "down")
LLAMA = DecoderFamily(
    "llama", "LlamaForCausalLM", biases={"attention_bias": ATTENTION, "mlp_bias": MLP}
)
QWEN2 = DecoderFamily(
    "qwen2", "Qwen2ForCausalLM", biases={"": ("q", "k", "v")}, windowed=True, window=4096,
    window_switch="use_sliding_window", positions=32768,
    full_layers=FullLayers(first=28, key="max_window_layers"),
)  # fmt: skip
QWEN3 = DecoderFamily(
    "qwen3", "Qwen3ForCausalLM", biases={"attention_bias": ATTENTION}, qk_norms=True,
    harmless=("max_window_layers",),
)  # fmt: skip
LONG = {"factor": 4.0, "original_max_position_embeddings": 32, "rope_theta": 1e4}
LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, **LONG}
YARN = {"rope_type": "yarn", **LONG}

CASES = {
    "llama3 positions, biases, tied": (
        LLAMA,
        {"rope_parameters": LLAMA3, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    ),
    "biases of Qwen2": (QWEN2, {}),
    "YaRN and norms of Qwen3": (QWEN3, {"rope_parameters": {**YARN, "beta_fast": 8.0}}),
    "YaRN with an attention factor": (
        LLAMA, {"rope_parameters": {**YARN, "mscale": 1.5, "mscale_all_dim": 0.7}, "hidden_act": "gelu"},
    ),
    "gelu by a tangent, linear positions": (
        LLAMA,
        {"hidden_act": "gelu_pytorch_tanh", "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
    ),
}  # fmt: skip
PROMPT = [1, *range(20, 110)]


def recipe_of(family: DecoderFamily, source: Path) -> Recipe:
    return Recipe(
        schema=1, family=family.model_type, title="x", summary="x", task="text-generation",
        license="MIT", parameters=1, source=Source(folder=str(source)),
        build={"x": Build(format="coreml")}, ref="x", home=source.parent,
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_format_agrees_with_transformers_or_refuses(case: str, tmp_path: Path) -> None:
    family, changes = CASES[case]
    source = tmp_path / "source"
    source.mkdir()
    write_language_model(family.model_type, source, **changes)
    reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.inference_mode():
        wanted = reference(torch.tensor([PROMPT])).logits[0].numpy()
    recipe, adapters = recipe_of(family, source), {}
    apart = {}
    with family.torch.run(recipe, source, adapters) as model:
        apart["torch"] = model.logits(PROMPT)
    (tmp_path / "mlx").mkdir()
    if "gelu" in changes.get("hidden_act", ""):
        with pytest.raises(zoo.IntegrityError, match="mlx does not support the activation 'gelu"):
            family.mlx.convert(source, tmp_path / "mlx")
    else:
        with family.mlx.run(
            recipe, family.mlx.convert(source, tmp_path / "mlx"), adapters
        ) as model:
            apart["mlx"] = model.logits(PROMPT)
    for name, target in {"coreml": "gpu", "coreml-ane": "neural-engine"}.items():
        build = Build(format="coreml", options={"target": target})
        work = tmp_path / f"for-{target}"
        work.mkdir()
        folder = family.coreml.convert(recipe, build, source, adapters, work, Progress("convert"))
        with family.coreml.run(recipe, folder) as model:
            apart[name] = model.logits(PROMPT)
    near = {"torch": 1e-4, "mlx": 1e-3, "coreml": 1e-2, "coreml-ane": 1e-2}
    for name, logits in apart.items():
        assert np.abs(logits - wanted).max() < near[name] * np.ptp(wanted), name


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        (LLAMA, {"attention_bias": 1}, "attention_bias must be true or false"),
        (LLAMA, {"sliding_window": 8}, "'sliding_window', which zoo does not support"),
        (QWEN2, {"attention_bias": True}, "attention_bias is True"),
        (QWEN3, {"use_sliding_window": True}, "use_sliding_window is True"),
        (LLAMA, {"model_type": "qwen2"}, "model_type is 'qwen2', not 'llama'"),
    ],
)
def test_what_a_family_does_not_have_is_refused(family, changes, words, tmp_path) -> None:
    write_language_model(family.model_type, tmp_path)
    data: dict[str, Any] = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**data, **changes}))
    with pytest.raises(zoo.IntegrityError, match=words):
        family.read(tmp_path)


def test_a_window_counts_only_where_its_switch_is_on(tmp_path) -> None:
    write_language_model("qwen2", tmp_path)
    data = json.loads((tmp_path / "config.json").read_text())
    given = {**data, "sliding_window": 8, "max_window_layers": 1}
    given.pop("layer_types", None)
    assert QWEN2.parse({**given, "use_sliding_window": False}).sliding_window is None
    config = QWEN2.parse({**given, "use_sliding_window": True})
    assert (config.sliding_window, config.sliding) == (8, (False, True))


def test_a_program_that_was_begun_before_changes_no_name(tmp_path: Path) -> None:
    from coremltools.converters.mil.mil import Builder

    source, saved = tmp_path / "source", []
    source.mkdir()
    write_language_model("llama", source)
    recipe = recipe_of(LLAMA, source)
    for begun in (0, 7):
        Builder.name_count["shape"] = begun
        work = tmp_path / f"after-{begun}"
        work.mkdir()
        LLAMA.coreml.convert(recipe, recipe.build["x"], source, {}, work, Progress("convert"))
        saved.append(next(work.rglob("*.mlmodel")).read_bytes())
    assert saved[0] == saved[1]
