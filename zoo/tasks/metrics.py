"""Metrics for checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def psnr(found: Any, wanted: Any, peak: float | None = None) -> float:
    """Compute the peak signal-to-noise ratio, in decibels, at most 200.

    Args:
        found: array of any shape.
        wanted: the reference, of the same shape.
        peak: the largest possible value; by default the largest magnitude in `wanted`.
    """
    import numpy as np

    if peak is None:
        peak = float(np.abs(np.float64(wanted)).max())
    noise = float(((np.float64(found) - np.float64(wanted)) ** 2).mean())
    return min(200.0, 10 * float(np.log10(peak**2 / max(noise, 1e-30))))


def word_errors(found: Sequence[str], wanted: Sequence[str]) -> int:
    """Count the word errors: the Levenshtein distance in words.

    Dividing by `len(wanted)` gives the word error rate.

    Args:
        found: words of the transcript.
        wanted: words of the reference.

    Returns: the fewest substitutions, insertions and deletions.
    """
    row = list(range(len(wanted) + 1))
    for number, word in enumerate(found, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(wanted, 1):
            here = min(row[place] + 1, row[place - 1] + 1, before + (word != other))
            before, row[place] = row[place], here
    return row[-1]
