"""Figures that checks are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def psnr(found: Any, wanted: Any, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio in decibels, at most 200.

    Args:
        found, wanted: arrays of one shape.
        peak: the largest value that there can be; by default the largest of `wanted`.
    """
    import numpy as np

    if peak is None:
        peak = float(np.abs(np.float64(wanted)).max())
    noise = float(((np.float64(found) - np.float64(wanted)) ** 2).mean())
    return min(200.0, 10 * float(np.log10(peak**2 / max(noise, 1e-30))))


def word_errors(found: Sequence[str], wanted: Sequence[str]) -> int:
    """The fewest words to replace, add or remove (Levenshtein)."""
    row = list(range(len(wanted) + 1))
    for number, word in enumerate(found, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(wanted, 1):
            here = min(row[place] + 1, row[place - 1] + 1, before + (word != other))
            before, row[place] = row[place], here
    return row[-1]
