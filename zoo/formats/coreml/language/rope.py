"""Tables of rotary positions."""

from __future__ import annotations

from typing import Any

from zoo.formats.coreml.language.spec import DecoderSpec


def rope_tables(spec: DecoderSpec) -> tuple[Any, Any]:
    """Cosines and sines of every position, float16 of shape (context, head_dim).

    The frequencies are those of https://arxiv.org/abs/2104.09864, each twice: for both halves.
    """
    import numpy as np

    frequencies = spec.rope_theta ** -(np.arange(0, spec.head_dim, 2) / spec.head_dim)
    angles = np.outer(np.arange(spec.context) / spec.rope_factor, np.tile(frequencies, 2))
    return np.cos(angles).astype(np.float16), np.sin(angles).astype(np.float16)
