"""Choose tokens in MLX, with a random state of its own for every stream."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from zoo.formats.sampling import LEAST_TEMPERATURE
from zoo.tasks.text.options import Sampling


def make_sampler(sampling: Sampling) -> Callable[[Any], Any]:
    """A function from log-probabilities of shape (1, vocabulary) to the token chosen, (1,).

    The filters are mlx-lm's, in its order; the temperature comes after them. The process's own
    random state stays as it is, and streams that are read in turns do not change each other.
    """
    import mlx.core as mx
    from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

    if sampling.temperature == 0:
        return lambda scores: mx.argmax(scores, axis=-1)
    seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
    key = mx.random.key(seed % 2**64)
    temperature = max(float(sampling.temperature), LEAST_TEMPERATURE)

    def choose(scores: Any) -> Any:
        nonlocal key
        if sampling.top_p < 1:
            scores = apply_top_p(scores, sampling.top_p)
        if sampling.min_p > 0:
            scores = apply_min_p(scores, sampling.min_p)
        if 0 < sampling.top_k < scores.shape[-1]:
            scores = apply_top_k(scores, sampling.top_k)
        key, mine = mx.random.split(key)
        likeliest = scores.max(axis=-1, keepdims=True)
        return mx.random.categorical((scores - likeliest) / temperature, key=mine)

    return choose
