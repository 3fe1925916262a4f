"""What the config of a LoRA adapter says: an option is applied, harmless, or refused by name.

The options are those of PEFT's `LoraConfig`
(https://huggingface.co/docs/peft/package_reference/lora#peft.LoraConfig) and of mlx-lm's
`adapter_config.json`, which holds everything that it was trained with; of those, the kind of
fine-tuning and `lora_parameters` say what is added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import Any

MERGE = "merge it into its model with PEFT's merge_and_unload, and give that model's folder"

HARMLESS = frozenset((
    "peft_type", "peft_version", "task_type", "auto_mapping", "base_model_name_or_path", "revision",
    "inference_mode", "r", "target_modules", "exclude_modules", "lora_dropout", "rank_pattern",
    "layers_to_transform", "layers_pattern", "megatron_config", "megatron_core", "loftq_config",
    "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "runtime_config",
    "ensure_weight_tying", "lora_alpha", "alpha_pattern", "use_rslora", "init_lora_weights",
    "base_model_class", "parent_library",
))  # fmt: skip
"""Options that say where the parts are, or how they were trained. Ranks are those of the parts."""

PLAIN: dict[str, tuple[object, ...]] = {
    "bias": ("none",),
    "megatron_core": ("megatron.core",),
}
"""Options that do nothing at these values; any other one does nothing when it is empty or false."""

REASONS = {
    "use_dora": "DoRA, which scales whole columns too",
    "modules_to_save": "whole layers beside the LoRA",
    "trainable_token_indices": "rows of the embedding beside the LoRA",
    "target_parameters": "LoRA of parameters that are no layers",
    "layer_replication": "layers that are repeated",
    "bias": "biases beside the LoRA",
    "lora_bias": "biases in the LoRA",
    "fan_in_fan_out": "matrices that are stored the other way round",
}

PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal", "mpo")
"""Ways to begin training that leave the model as it is."""

OTHER_BASES = ("pissa", "olora", "corda", "loftq", "lora_ga", "lora-ga")
"""Those that take something out of the model first, which adding to the whole one counts twice."""

SAFE_PATTERN = re.compile(r"\^?(?:[\w.-]|\\[.d]\+?|\.\*|\|){1,200}\$?")
MOST_WILDCARDS = 4
LARGEST_SCALE = 1e6


@dataclass(frozen=True)
class Scale:
    """What the product of an adapter's parts is multiplied by.

    Attributes:
        fixed: the same for all, whatever the rank; `None` where `alpha` decides.
        alpha: divided by the rank, or by its root with `rooted` (rsLoRA,
            https://arxiv.org/abs/2312.03732).
        patterns: alphas of modules whose name a pattern matches.
    """

    fixed: float | None = None
    alpha: float = 0.0
    rooted: bool = False
    patterns: Mapping[str, float] = field(default_factory=dict)

    def of(self, module: str, rank: int) -> float:
        """The factor of one module, whose parts have this rank."""
        if self.fixed is not None:
            return self.fixed
        for pattern, alpha in self.patterns.items():
            if re.fullmatch(rf"(?:.*\.)?(?:{pattern})", module):
                return alpha / (sqrt(rank) if self.rooted else rank)
        return self.alpha / (sqrt(rank) if self.rooted else rank)


def scale_of_peft(config: Mapping[str, Any]) -> Scale:
    """The scale of an adapter of PEFT.

    Raises:
        ValueError: an option that zoo does not apply, with what it means.
    """
    _require_lora(config.get("peft_type", "LORA"))
    for key, value in config.items():
        if key in HARMLESS or value in PLAIN.get(key, ()) or value in (None, False, [], {}):
            continue
        meaning = REASONS.get(key, "an option that zoo does not support")
        raise ValueError(f"{str(key)[:60]} = {str(value)[:60]!r}, {meaning}")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower().startswith(OTHER_BASES):
        raise ValueError(
            f"init_lora_weights = {start[:40]!r}: it requires the base model that {start[:40]} "
            "changed when training began"
        )
    if not isinstance(start, bool | str | None) or start not in PLAIN_STARTS:
        raise ValueError(f"init_lora_weights = {str(start)[:40]!r}, which zoo does not support")
    rooted = config.get("use_rslora") or False
    if not isinstance(rooted, bool):
        raise ValueError(f"use_rslora = {str(rooted)[:40]!r}, which is neither true nor false")
    if "lora_alpha" not in config:
        raise ValueError("no lora_alpha, so its scale is unknown")
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise ValueError(f"alpha_pattern = {str(patterns)[:40]!r}, which is not a table")
    for pattern in patterns:
        wild = len(re.findall(r"[*+]", pattern))
        if not SAFE_PATTERN.fullmatch(pattern) or wild > MOST_WILDCARDS:
            raise ValueError(f"alpha_pattern with {pattern[:60]!r}; zoo reads names, '.*' and '|'")
    return Scale(
        alpha=_number("lora_alpha", config["lora_alpha"]),
        rooted=rooted,
        patterns={key: _number("alpha_pattern", value) for key, value in patterns.items()},
    )


def scale_of_mlx(config: Mapping[str, Any]) -> Scale:
    """The scale of an adapter of mlx-lm.

    Raises:
        ValueError: fine-tuning of another kind, or no scale.
    """
    _require_lora(config.get("fine_tune_type", "lora"))
    parameters = config.get("lora_parameters")
    if not isinstance(parameters, dict) or "scale" not in parameters:
        raise ValueError("no lora_parameters with a scale")
    return Scale(fixed=_number("scale", parameters["scale"]))


def _require_lora(kind: object) -> None:
    text = getattr(kind, "value", kind)
    if not isinstance(text, str) or text.lower() != "lora":
        name = {"dora": "DoRA", "full": "full fine-tuning"}.get(str(text).lower(), str(text)[:40])
        raise ValueError(f"the kind {name!r}; only LoRA is supported")


def _number(key: str, value: Any) -> float:
    if type(value) not in (int, float) or not isfinite(value) or abs(value) > LARGEST_SCALE:
        raise ValueError(
            f"{key} = {str(value)[:40]!r}, which is not a number up to {LARGEST_SCALE:g}"
        )
    return float(value)
