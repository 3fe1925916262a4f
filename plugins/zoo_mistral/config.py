"""The config.json of a Mistral checkpoint, read once and strictly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_config
from zoo.formats.coreml import DecoderSpec, LayerSpec, TensorNames

REQUIRED = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "vocab_size",
)

DEFAULT_CONTEXT = 4096


def read_mistral_config(folder: Path) -> dict[str, Any]:
    """The config of the checkpoint in `folder`.

    Raises:
        zoo.IntegrityError: it is unreadable, incomplete, or of another architecture.
    """
    config = read_config(folder)
    kind = config.get("model_type")
    if kind != "mistral":
        raise zoo.IntegrityError(
            f"{folder / 'config.json'} is of a '{kind}' model, not a 'mistral'"
        )
    if missing := [key for key in REQUIRED if key not in config]:
        raise zoo.IntegrityError(f"{folder / 'config.json'} lacks {', '.join(missing)}")
    return config


def for_mlx(config: dict[str, Any]) -> dict[str, Any]:
    """The config in the keys that mlx-lm reads, where it differs from transformers.

    mlx-lm does not know `rope_parameters` and falls back to a base of 10,000; it ties embeddings
    unless told otherwise; and it takes a sliding window only from `layer_types`.
    """
    theta, scaling = _rope(config)
    heads = config["num_attention_heads"]
    converted = {
        **config,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
        "rope_theta": theta,
        "rope_scaling": scaling or None,
        "tie_word_embeddings": config.get("tie_word_embeddings", False),
    }
    if config.get("sliding_window"):
        converted["layer_types"] = ["sliding_attention"] * config["num_hidden_layers"]
    converted.pop("rope_parameters", None)
    return converted


NAMES = TensorNames(
    embedding="model.embed_tokens.weight",
    norm="model.norm.weight",
    head="lm_head.weight",
    attention_norm="model.layers.{layer}.input_layernorm.weight",
    qkv=tuple(f"model.layers.{{layer}}.self_attn.{part}_proj.weight" for part in "qkv"),
    output="model.layers.{layer}.self_attn.o_proj.weight",
    ffn_norm="model.layers.{layer}.post_attention_layernorm.weight",
    gate_up=tuple(f"model.layers.{{layer}}.mlp.{part}_proj.weight" for part in ("gate", "up")),
    down="model.layers.{layer}.mlp.down_proj.weight",
)


def for_coreml(config: dict[str, Any], context: int | None) -> DecoderSpec:
    """The decoder that the config describes, with room for as many tokens as it was trained on.

    Args:
        config: a Mistral's.
        context: what the recipe says, over the config's `max_position_embeddings`.

    Raises:
        zoo.IntegrityError: a size that is no size, or a way of scaling positions that the
            decoder does not have.
    """
    _require_sizes(config)
    theta, scaling = _rope(config)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind not in ("default", "linear"):
        raise zoo.IntegrityError(f"positions scaled by '{kind}' are not known to coreml")
    heads = config["num_attention_heads"]
    layer = LayerSpec(heads, config["num_key_value_heads"], config["intermediate_size"])
    spec = DecoderSpec(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        layers=(layer,) * config["num_hidden_layers"],
        names=replace(NAMES, head=None) if config.get("tie_word_embeddings") else NAMES,
        eps=config["rms_norm_eps"],
        rope_theta=theta,
        rope_factor=scaling.get("factor", 1.0) if kind == "linear" else 1.0,
        context=context or config.get("max_position_embeddings") or DEFAULT_CONTEXT,
        window=config.get("sliding_window"),
    )
    if faults := [f"{key} {message}" for key, message in spec.validate()]:
        raise zoo.IntegrityError(f"the config describes no decoder: {'; '.join(faults)}")
    return spec


def _require_sizes(config: dict[str, Any]) -> None:
    for key in REQUIRED:
        value = config[key]
        good = isinstance(value, (int, float) if key == "rms_norm_eps" else int)
        if not good or isinstance(value, bool) or value <= 0:
            raise zoo.IntegrityError(f"the config's {key} must be a number above 0, not {value!r}")
    if config.get("hidden_act", "silu") != "silu":
        raise zoo.IntegrityError(f"coreml does not know the activation {config['hidden_act']!r}")


def _rope(config: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """The base of the rotary positions, and how they are scaled, in old and new spelling."""
    rope = dict(config.get("rope_parameters") or {})
    theta = rope.pop("rope_theta", None) or config.get("rope_theta", 10_000.0)
    scaled = rope.get("rope_type", "default") != "default"
    return float(theta), rope if scaled else config.get("rope_scaling") or {}
