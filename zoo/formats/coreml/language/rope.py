"""Tables of rotary positions."""

from __future__ import annotations

from typing import Any

from zoo.formats.coreml.language.frequencies import frequencies
from zoo.formats.coreml.language.spec import DecoderSpec


def rope_tables(spec: DecoderSpec, factor: float = 1.0) -> tuple[Any, Any]:
    """Cosines and sines of every position times a factor, float16 of shape (context, head_dim).

    Each frequency is there twice: for both halves.
    """
    import numpy as np

    turning, scale = frequencies(spec)
    angles, scale = np.outer(np.arange(spec.context), np.tile(turning, 2)), scale * factor
    return (np.cos(angles) * scale).astype(np.float16), (np.sin(angles) * scale).astype(np.float16)


def named_tables(spec: DecoderSpec, factor: float = 1.0, *, local: bool) -> dict[str, Any]:
    """The tables by the names of their constants; `local` are those of layers with a window."""
    names = ("local_cosines", "local_sines") if local else ("cosines", "sines")
    return dict(zip(names, rope_tables(spec.locally if local else spec, factor), strict=True))
