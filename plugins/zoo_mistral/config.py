"""The config.json of a Mistral checkpoint, read once and strictly."""

from pathlib import Path
from typing import Any

import zoo
from zoo.formats.checkpoint import read_config

REQUIRED = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "vocab_size",
)


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
    rope = dict(config.get("rope_parameters") or {})
    theta = rope.pop("rope_theta", None) or config.get("rope_theta", 10_000.0)
    scaling = config.get("rope_scaling")
    if rope.get("rope_type", "default") != "default":
        scaling = rope
    heads = config["num_attention_heads"]
    converted = {
        **config,
        "head_dim": config.get("head_dim") or config["hidden_size"] // heads,
        "rope_theta": theta,
        "rope_scaling": scaling,
        "tie_word_embeddings": config.get("tie_word_embeddings", False),
    }
    if config.get("sliding_window"):
        converted["layer_types"] = ["sliding_attention"] * config["num_hidden_layers"]
    converted.pop("rope_parameters", None)
    return converted
