"""Decoders with soft caps, four norms and windows in some layers, against transformers' own classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from decoders.test_decoders import ATTENTION, LLAMA, QWEN2, recipe_of
from transformers import AutoModelForCausalLM, Gemma3TextConfig

import zoo
from zoo.catalogs.recipe import Build
from zoo.decoders import DecoderFamily, FullLayers
from zoo.formats.coreml.execute.program import Functions
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.progress import Progress
from zoo.scaffold.families import FAMILIES
from zoo.scaffold.project import new_plugin
from zoo.testing.checkpoints.text import write_language_model

GEMMA: dict[str, Any] = {
    "activation": "gelu_pytorch_tanh", "activation_key": "hidden_activation", "norm_plus_one": True,
    "post_norms": True, "scaled_embedding": True, "windowed": True, "window": 4096, "tied": True,
    "biases": {"attention_bias": ATTENTION},
}  # fmt: skip
GEMMA2 = DecoderFamily(
    "gemma2", "Gemma2ForCausalLM", **GEMMA, positions=8192, full_layers=FullLayers(every=2),
    scalars={"query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
)  # fmt: skip
GEMMA3 = DecoderFamily(
    "gemma3_text", "Gemma3ForCausalLM", **GEMMA, qk_norms=True, theta=1e6, local_theta=1e4,
    full_layers=FullLayers(every=6, key="sliding_window_pattern"), positions=131072,
    scalars={"query_pre_attn_scalar": 256, "final_logit_softcapping": None},
)  # fmt: skip
QWEN3 = DecoderFamily(
    "qwen3", "Qwen3ForCausalLM", biases={"attention_bias": ATTENTION}, qk_norms=True, windowed=True,
    window=4096, window_switch="use_sliding_window", positions=32768,
    full_layers=FullLayers(first=28, key="max_window_layers"),
)  # fmt: skip

S, F = "sliding_attention", "full_attention"
CASES = {
    "gemma2": (GEMMA2, {
        "num_hidden_layers": 4, "sliding_window": 8, "query_pre_attn_scalar": 24,
        "attn_logit_softcapping": 8.0, "final_logit_softcapping": 6.0,
    }),
    "gemma3": (GEMMA3, {
        "num_hidden_layers": 4, "sliding_window": 8, "query_pre_attn_scalar": 24,
        "layer_types": [S, S, F, S], "rope_parameters": {
            F: {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
            S: {"rope_type": "default", "rope_theta": 1e4},
        },
    }),
    "qwen3": (QWEN3, {
        "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1,
    }),
}  # fmt: skip
PROMPT = [1, *range(20, 59)]
NEW = 12
FORMATS = {"torch": 1e-5, "mlx": 1e-4, "gpu": 1e-3, "neural-engine": 4e-3}
"""How far logits may be from those of transformers, as a share of their range."""


def round_constants(module: Any, plus: float) -> None:
    """Have what Core ML stores in float16 in that type: factors of norms and rotary positions.

    Beside them, the reference executor computes in float32 here, as transformers does.
    """
    for name, weight in module.named_parameters():
        if "norm" in name:
            weight.data = (weight.data + plus).half().float() - plus
    positions = module.model.rotary_emb
    positions.register_forward_hook(lambda _, __, out: tuple(x.half().float() for x in out))


class Built:
    """A checkpoint of transformers, and a model of it in every format."""

    def __init__(self, case: str, folder: Path) -> None:
        self.family, changes = CASES[case]
        source = folder / "source"
        source.mkdir()
        write_language_model(self.family.model_type, source, **changes)
        kind = {"dtype": torch.float32, "attn_implementation": "eager"}
        self.reference = AutoModelForCausalLM.from_pretrained(source, **kind)
        self.rounded = AutoModelForCausalLM.from_pretrained(source, **kind)
        round_constants(self.rounded, float(self.family.norm_plus_one))
        self.unlimited = AutoModelForCausalLM.from_pretrained(source, **kind, sliding_window=4096)
        recipe = recipe_of(self.family, source)
        (folder / "mlx").mkdir()
        converted = self.family.mlx.convert(source, folder / "mlx")
        self.models = {
            "torch": self.family.torch.run(recipe, source, {}),
            "mlx": self.family.mlx.run(recipe, converted, {}),
        }
        self.packages = []
        for target in ("gpu", "neural-engine"):
            build = Build(format="coreml", options={"target": target})
            (folder / target).mkdir()
            made = self.family.coreml.convert(
                recipe, build, source, {}, folder / target, Progress("convert")
            )
            self.models[target] = CoreMLTextModel.load(made, mode="fp32")
            self.packages.append(made)

    def logits(self, module: Any) -> Any:
        """Of a module of transformers."""
        with torch.inference_mode():
            return module(torch.tensor([PROMPT])).logits[0].numpy()


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=pytest.mark.long if n == "qwen3" else ()) for n in CASES],
)
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    made = Built(request.param, tmp_path_factory.mktemp(request.param))
    yield made
    for model in made.models.values():
        model.close()


def test_logits_are_those_of_transformers(built: Built) -> None:
    wanted, rounded = built.logits(built.reference), built.logits(built.rounded)
    size = np.ptp(wanted)
    for name, near in FORMATS.items():
        there = wanted if name in ("torch", "mlx") else rounded
        assert np.abs(built.models[name].logits(PROMPT) - there).max() < near * size, name
    far = np.abs(built.logits(built.unlimited) - wanted).max(-1)
    assert far[:8].max() < 1e-5 * size
    assert far[-1] > 0.05 * size, "the window must matter"


@pytest.mark.parametrize("chunk", [1, 7])
def test_a_prompt_in_chunks_gives_the_same(
    built: Built, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {name: model.logits(PROMPT) for name, model in built.models.items()}
    for module in ("torch.text", "mlx.text", "coreml.language.model"):
        monkeypatch.setattr(f"zoo.formats.{module}.CHUNK", chunk)
    for name, model in built.models.items():
        size = np.ptp(whole[name])
        assert np.abs(model.logits(PROMPT) - whole[name]).max() < FORMATS[name] * size, name


def test_several_tokens_beyond_the_window_are_those_of_transformers(built: Built) -> None:
    with torch.inference_mode():
        out = built.reference.generate(
            torch.tensor([PROMPT]), max_new_tokens=NEW, do_sample=False, eos_token_id=None
        )
    wanted = out[0, len(PROMPT) :].tolist()
    for name, model in built.models.items():
        found = list(model.tokens(PROMPT, zoo.Sampling(max_tokens=NEW, temperature=0)))
        assert found == wanted, name


def test_packages_take_a_mask_for_each_kind_of_layer(built: Built) -> None:
    for folder in built.packages:
        taken = {name for path in folder.glob("*.mlpackage") for name in Functions(path).inputs()}
        assert {"causalMask", "slidingMask"} <= taken


OLD = {
    "model_type": "gemma3_text", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    "rms_norm_eps": 1e-6, "cache_implementation": "hybrid", "attn_logit_softcapping": None,
    "sliding_window": 512, "sliding_window_pattern": 3, "rope_theta": 1000000,
    "rope_local_base_freq": 20000, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
}  # fmt: skip


def test_a_config_of_before_layer_types_is_read_as_transformers_does() -> None:
    config, wanted = GEMMA3.parse(OLD), Gemma3TextConfig(**OLD)
    assert config.layer_types == wanted.layer_types == [S, S, F, S]
    assert config.local_rope is not None
    for kind, rope in ((F, config.rope), (S, config.local_rope)):
        assert wanted.rope_parameters[kind] == rope.for_transformers()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attn_logit_softcapping": 50.0}, "'attn_logit_softcapping', which zoo does not support"),
        ({"final_logit_softcapping": -1}, "final_logit_softcapping must be a number above 0"),
        ({"query_pre_attn_scalar": None}, "query_pre_attn_scalar must be a number above 0"),
        ({"sliding_window_pattern": 0}, "sliding_window_pattern must be a whole number"),
        ({"layer_types": [S, F]}, "layer_types must be 'sliding_attention' or 'full_attention'"),
        ({"layer_types": [S, S, S, "linear"]}, "layer_types must be"),
        ({"sliding_window": None, "layer_types": [S] * 4}, "since there is no sliding_window"),
        ({"hidden_activation": "evil"}, "hidden_activation 'evil' is not supported"),
        ({"rope_parameters": {"rope_theta": 1e4}}, "rope_parameters must be tables for"),
        ({"rope_local_base_freq": 0}, "rope_local_base_freq must be"),
        ({"use_bidirectional_attention": True}, "'use_bidirectional_attention', which zoo"),
    ],
)  # fmt: skip
def test_what_means_something_else_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GEMMA3.parse({**OLD, **changes})


LLAMA_CAPPED = DecoderFamily(
    "llama", "LlamaForCausalLM", scalars={"final_logit_softcapping": 30.0}
)  # fmt: skip


def test_what_the_class_of_mlx_lm_ignores_is_refused(tmp_path: Path) -> None:
    source, work = tmp_path / "source", tmp_path / "mlx"
    source.mkdir(), work.mkdir()
    write_language_model("llama", source)
    with pytest.raises(zoo.IntegrityError, match="mlx does not support 'final_logit_softcapping'"):
        LLAMA_CAPPED.mlx.convert(source, work)
    assert not list(work.iterdir())
    write_language_model("gemma2", source, hidden_activation="gelu")
    with pytest.raises(zoo.IntegrityError, match="the activation 'gelu'"):
        GEMMA2.mlx.convert(source, work)
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    write_language_model("gemma2", source, rope_parameters=scaled)
    with pytest.raises(zoo.IntegrityError, match="mlx does not support 'rope_scaling'"):
        GEMMA2.mlx.convert(source, work)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scalars": {"query_scalar": 1}}, "scalars has 'query_scalar', which is not one of"),
        ({"biases": {"x": ("query",)}}, "biases has 'query', which is not one of q, k, v"),
        ({"activation": "swiglu"}, "activation has 'swiglu'"),
        (
            {"full_layers": FullLayers(every=2)},
            "full_layers is for families that can have a window",
        ),
    ],
)
def test_a_wrong_declaration_says_so_at_once(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DecoderFamily("x", "XForCausalLM", **wrong)


DECLARED = {"llama": LLAMA, "qwen2": QWEN2, "qwen3": QWEN3, "gemma2": GEMMA2, "gemma3_text": GEMMA3}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_plugin_begins_with_the_declaration_and_reads_a_checkpoint(
    family: str, tmp_path: Path
) -> None:
    new_plugin("acme", family, ("torch",), tmp_path / "made")
    code = (tmp_path / "made" / "zoo_acme" / "__init__.py").read_text()
    assert run_code(code)["FAMILY"] == DECLARED[family]


def test_the_how_to_has_every_field_of_a_declaration() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins" / "how-to.md").read_text()
    section = page.partition("## A declarative decoder family")[2].partition("\n## ")[0]
    table = re.findall(r"^\| (`.*?) \|", section, re.M)
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert named == {field.name for field in fields(DecoderFamily)}
    snippets = re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)
    assert run_code("".join(snippets))["GEMMA2"] == GEMMA2


def run_code(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names
