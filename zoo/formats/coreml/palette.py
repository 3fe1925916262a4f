"""The best table of a few values for many: k-means in one dimension, exact in float16.

float16 has 65,536 values, so a histogram over all of them loses nothing. Cumulative sums over it
give the mean of any range in one subtraction, and a round of Lloyd's algorithm costs a handful of
look-ups, however many weights there are.
"""

from __future__ import annotations

from typing import Any

ROUNDS = 100
VALUES = 1 << 16
BINS = 2048
CHUNK = 1 << 20  # NumPy widens what it counts, and what it looks up by, to 64 bits


def palettize(weights: Any, bits: int) -> tuple[Any, Any]:
    """The palette of 2**bits values nearest to `weights` in the mean square, and who takes which.

    Lloyd's algorithm. It starts from the quantiles of the cube root of the weights' density, where
    the best palette lies as it grows (Panter and Dite, 1951); those of the density itself leave
    the tails to a few values, and at 8 bits the error is twice as large.

    Args:
        weights: float16 array of finite numbers, of any shape.
        bits: 1 to 8.

    Returns: the palette, float16 of shape (2**bits,), rising; and indices, uint8 in `weights`'
    shape.
    """
    import numpy as np

    ranks = _rank(np.ascontiguousarray(weights).view(np.uint16)).ravel()
    chunks = [slice(start, start + CHUNK) for start in range(0, ranks.size, CHUNK)]
    counts: Any = sum(np.bincount(ranks[chunk], minlength=VALUES) for chunk in chunks)
    present: Any = np.flatnonzero(counts)
    values = _values()[present].astype(np.float64)
    heads = np.concatenate([[0], np.cumsum(counts[present])])
    sums = np.concatenate([[0.0], np.cumsum(counts[present] * values)])
    palette = _lloyd(values, heads, sums, 1 << bits).astype(np.float16)
    palette.sort()
    table = np.zeros(VALUES, np.uint8)
    table[present] = np.searchsorted(_middles(palette.astype(np.float64)), values)
    indices = np.empty(ranks.size, np.uint8)
    for chunk in chunks:
        indices[chunk] = table[ranks[chunk]]
    return palette, indices.reshape(weights.shape)


def _lloyd(values: Any, heads: Any, sums: Any, size: int) -> Any:
    """Centres of `size` clusters of rising `values`, with cumulative counts and sums."""
    import numpy as np

    centres, cuts = _start(values, np.diff(heads), size), None
    for _ in range(ROUNDS):
        inner = np.searchsorted(values, _middles(centres))
        found = np.concatenate([[0], inner, [len(values)]])
        if cuts is not None and (found == cuts).all():
            break
        cuts = found
        members = np.diff(heads[cuts])
        means = np.diff(sums[cuts]) / np.maximum(members, 1)
        centres = np.sort(np.where(members > 0, means, centres))
    return centres


def _start(values: Any, counts: Any, size: int) -> Any:
    """The quantiles of the cube root of the density, from a histogram over even bins."""
    import numpy as np

    density, edges = np.histogram(values, BINS, weights=counts)
    reached = np.concatenate([[0.0], np.cumsum(np.cbrt(density))])
    return np.interp((np.arange(size) + 0.5) / size * reached[-1], reached, edges)


def _middles(centres: Any) -> Any:
    return (centres[1:] + centres[:-1]) / 2


def _rank(bits: Any) -> Any:
    """The rank of a float16 among all, from its bits: negative ones are ordered backwards."""
    import numpy as np

    return np.where(bits & 0x8000, ~bits, bits | 0x8000)


def _values() -> Any:
    """The float16 of each rank; not-a-numbers among them are never looked up."""
    import numpy as np

    ranks = np.arange(VALUES, dtype=np.uint16)
    return np.where(ranks & 0x8000, ranks & 0x7FFF, ~ranks).astype(np.uint16).view(np.float16)
