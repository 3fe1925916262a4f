"""How fast each pair of a head turns with the position, plain or scaled for long texts."""

from __future__ import annotations

from math import ceil, floor, log, pi
from typing import Any

from zoo.formats.coreml.language.spec import DecoderSpec


def frequencies(spec: DecoderSpec) -> tuple[Any, float]:
    """The RoPE frequencies and the factor of cosines and sines.

    Frequencies are radians per position, float64 of shape (head_dim / 2,), as in
    https://arxiv.org/abs/2104.09864. Linear scaling divides them by its factor.
    """
    import numpy as np

    plain = spec.rope_theta ** -(np.arange(0, spec.head_dim, 2) / spec.head_dim)
    match spec.rope_scaling:
        case "llama3":
            return _llama3(plain, spec.rope_parameters), 1.0
        case "yarn":
            return _yarn(plain, spec), _yarn_scale(spec.rope_parameters)
        case _:
            return plain / spec.rope_factor, 1.0


def _llama3(plain: Any, given: dict[str, float]) -> Any:
    """Slow pairs are slowed down by the factor, quick ones stay, those between go between.

    As in Llama 3.1: https://github.com/meta-llama/llama-models (`apply_scaling`).
    """
    import numpy as np

    low, high = given["low_freq_factor"], given["high_freq_factor"]
    turns = given["original_max_position_embeddings"] * plain / (2 * pi)
    share = np.clip((turns - low) / (high - low), 0, 1)
    return plain * (share + (1 - share) / given["factor"])


def _yarn(plain: Any, spec: DecoderSpec) -> Any:
    """As in https://arxiv.org/abs/2309.00071, section 3.2, over the number of a pair."""
    import numpy as np

    given = spec.rope_parameters
    length, pairs = given["original_max_position_embeddings"], len(plain)

    def pair_of(turns: float) -> float:
        return spec.head_dim * log(length / (turns * 2 * pi)) / (2 * log(spec.rope_theta))

    first, last = pair_of(given.get("beta_fast", 32.0)), pair_of(given.get("beta_slow", 1.0))
    if given.get("truncate", 1.0):
        first, last = floor(first), ceil(last)
    first, last = max(first, 0), min(last, spec.head_dim - 1)
    slow = np.clip((np.arange(pairs) - first) / (max(last - first, 0) or 0.001), 0, 1)
    return plain * (1 - slow + slow / given["factor"])


def _yarn_scale(given: dict[str, float]) -> float:
    """What makes up for attention that many positions spread."""
    if "attention_factor" in given:
        return given["attention_factor"]

    def scale(weight: float) -> float:
        return 0.1 * weight * log(given["factor"]) + 1 if given["factor"] > 1 else 1.0

    if given.get("mscale") and given.get("mscale_all_dim"):
        return scale(given["mscale"]) / scale(given["mscale_all_dim"])
    return scale(1.0)
