"""The best table of a few values for many: k-means in one dimension, exact in float16.

float16 has 65,536 values, so a histogram over all of them loses nothing. Cumulative sums over it
give the mean of any range in one subtraction, and a round of Lloyd's algorithm costs a handful of
look-ups, however many weights there are.
"""

from __future__ import annotations

from typing import Any

ROUNDS, MOVES = 100, 200
VALUES = 1 << 16
PARTS = 1024
"""Most parts in which the density of weights is taken to be even."""

CHUNK = 1 << 20  # NumPy widens what it counts, and what it looks up by, to 64 bits


def palettize(weights: Any, bits: int) -> tuple[Any, Any]:
    """The palette of 2**bits values nearest to `weights` in the mean square, and who takes which.

    Lloyd's algorithm. It starts from the quantiles of the cube root of the weights' density, where
    the best palette lies as it grows (Panter and Dite, 1951); those of the density itself leave
    the tails to a few values, and at 8 bits the error is twice as large. Where it stops, two
    clusters are merged and one is split as long as that wins something: a few weights far from all
    others would keep it in a bad place.

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
    palette = _best(values, heads, sums, 1 << bits).astype(np.float16)
    palette.sort()
    table = np.zeros(VALUES, np.uint8)
    table[present] = np.searchsorted(_middles(palette.astype(np.float64)), values)
    indices = np.empty(ranks.size, np.uint8)
    for chunk in chunks:
        indices[chunk] = table[ranks[chunk]]
    return palette, indices.reshape(weights.shape)


def _best(values: Any, heads: Any, sums: Any, size: int) -> Any:
    """Centres of `size` clusters of rising `values`, with cumulative counts and sums."""
    import numpy as np

    if len(values) <= size:
        return np.pad(values, (0, size - len(values)), "edge")
    centres = _quantiles(*_density(values, heads), size)
    for _ in range(MOVES):
        centres, cuts = _lloyd(centres, values, heads, sums)
        moved = _moved(centres, cuts, values, heads, sums)
        if moved is None:
            break
        centres = moved
    return centres


def _lloyd(centres: Any, values: Any, heads: Any, sums: Any) -> tuple[Any, Any]:
    """Centres moved until they are the means of what is nearest, and where their clusters end."""
    import numpy as np

    cuts = None
    for _ in range(ROUNDS):
        inner = np.searchsorted(values, _middles(centres))
        found = np.concatenate([[0], inner, [len(values)]])
        if cuts is not None and (found == cuts).all():
            break
        cuts = found
        members = np.diff(heads[cuts])
        means = np.diff(sums[cuts]) / np.maximum(members, 1)
        centres = np.sort(np.where(members > 0, means, centres))
    return centres, cuts


def _moved(centres: Any, cuts: Any, values: Any, heads: Any, sums: Any) -> Any:
    """The centres with two merged and one split, or `None` when that loses more than it wins."""
    import numpy as np

    def explained(first: Any, last: Any) -> Any:
        return (sums[last] - sums[first]) ** 2 / np.maximum(heads[last] - heads[first], 1)

    first, last = cuts[:-1], cuts[1:]
    within = np.clip(np.searchsorted(values, centres), first, last)
    alone = explained(first, last)
    gains = explained(first, within) + explained(within, last) - alone
    losses = alone[:-1] + alone[1:] - explained(first[:-1], last[1:])
    split = int(gains.argmax())
    losses[max(split - 1, 0) : split + 1] = np.inf
    merged = int(losses.argmin())
    if gains[split] <= losses[merged] * (1 + 1e-9):
        return None

    def mean(first: Any, last: Any) -> Any:
        return (sums[last] - sums[first]) / max(heads[last] - heads[first], 1)

    new = [
        mean(first[merged], last[merged + 1]),
        mean(first[split], within[split]),
        mean(within[split], last[split]),
    ]
    return np.sort([*np.delete(centres, [merged, merged + 1, split]), *new])


def _quantiles(edges: Any, heights: Any, size: int) -> Any:
    """The quantiles of a density that is `heights`, each from one of the edges to the next."""
    import numpy as np

    reached = np.concatenate([[0.0], np.cumsum(heights * np.diff(edges))])
    return np.interp((np.arange(size) + 0.5) / size * reached[-1], reached, edges)


def _density(values: Any, heads: Any) -> tuple[Any, Any]:
    """Edges of parts with equally many weights, and the cube root of the density within each."""
    import numpy as np

    parts = int(np.clip(heads[-1] // 8, 8, PARTS))
    wanted = np.linspace(0, heads[-1], parts + 1)[1:-1]
    places = np.unique([0, *np.searchsorted(heads[1:], wanted), len(values) - 1])
    edges, first = np.unique(values[places], return_index=True)  # 0 and -0 are equal
    reached = heads[places[first]]
    reached[-1] = heads[-1]
    return edges, np.cbrt(np.diff(reached) / np.diff(edges))


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
