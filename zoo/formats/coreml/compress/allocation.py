"""Spend a budget of bits on weights: first as if losses added up, then by what they do together.

The first allocation is Shoham and Gersho's (1988). Losses add up where they are small; at few bits
the whole is several times the sum, so weights then exchange bits as long as the model itself gains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from zoo.errors import RecipeError

LossOf = Callable[[Mapping[str, int]], float]
"""Measures the loss of storing weights in these bits, all others whole."""

Sizes = Mapping[str, Mapping[int, int]]
"""For each weight and number of bits, the bits that the whole weight takes on disk."""

MISSES = 20
"""Exchanges in a row that gain nothing, after which no more are tried until all are rated again."""

ENOUGH = 0.97
"""Of the loss: a round that leaves more of it was the last."""


def allocate(
    losses: Mapping[str, Mapping[int, float]], sizes: Sizes, budget: int
) -> dict[str, int]:
    """The number of bits of each weight with the least loss within the budget, if losses add up.

    Args:
        losses: for each weight and number of bits, the loss.
        sizes: the same for the bits that the whole weight takes.
        budget: most bits that all may take.

    Raises:
        RecipeError: the smallest choices are more than the budget.
    """
    chosen = {name: min(choices, key=choices.__getitem__) for name, choices in sizes.items()}
    spent = sum(sizes[name][bits] for name, bits in chosen.items())
    if spent > budget:
        raise RecipeError(
            f"the fewest bits that are allowed take {spent:,} bits on disk, and the "
            f"bits_per_weight asked for leaves {max(budget, 0):,}",
            hint="allow more bits_per_weight, or fewer bits among 'choices'",
        )
    while steps := [
        (gain / (sizes[name][bits] - sizes[name][now]), name, bits)
        for name, now in chosen.items()
        for bits in sizes[name]
        if 0 < sizes[name][bits] - sizes[name][now] <= budget - spent
        and (gain := losses[name][now] - losses[name][bits]) > 0
    ]:
        _, name, bits = max(steps)
        spent += sizes[name][bits] - sizes[name][chosen[name]]
        chosen[name] = bits
    return chosen


def exchange(
    chosen: Mapping[str, int], sizes: Sizes, budget: int, loss_of: LossOf, rounds: int
) -> tuple[dict[str, int], float]:
    """Bits that lose no more than those chosen, within the budget, and their loss.

    A round measures one step up and one step down for each weight, all others as chosen, and then
    tries the steps, alone or one up for one down, that promise most. Each is kept if the model as a
    whole gains.

    Args:
        chosen: the bits of each weight to begin with.
        sizes: as for `allocate`.
        budget: most bits that all may take.
        loss_of: runs the model.
        rounds: at most so many.
    """
    chosen, best = dict(chosen), loss_of(chosen)
    spent = sum(sizes[name][bits] for name, bits in chosen.items())
    for _ in range(rounds):
        before, moved, misses = best, set[str](), 0
        for _, new, cost in sorted(_exchanges(chosen, sizes, best, loss_of), key=lambda e: -e[0]):
            if moved & new.keys() or spent + cost > budget:
                continue
            loss = loss_of({**chosen, **new})
            if loss < best:
                best, spent, misses = loss, spent + cost, 0
                chosen |= new
                moved |= new.keys()
            elif (misses := misses + 1) == MISSES:
                break
        if best > ENOUGH * before:
            break
    return chosen, best


Exchange = tuple[float, dict[str, int], int]
"""What it promises to take away of the loss, the new bits, and what they cost on disk."""


def _exchanges(
    chosen: Mapping[str, int], sizes: Sizes, now: float, loss_of: LossOf
) -> list[Exchange]:
    """The steps, and the pairs of one up and one down, that promise a gain."""
    ups: list[Exchange] = []
    downs: list[Exchange] = []
    for name, step, bits in _steps(chosen, sizes):
        gain = now - loss_of({**chosen, name: bits})
        cost = sizes[name][bits] - sizes[name][chosen[name]]
        (ups if step > 0 else downs).append((gain, {name: bits}, cost))
    pairs = [
        (gain + lost, {**more, **fewer}, cost + saved)
        for gain, more, cost in ups
        for lost, fewer, saved in downs
        if more.keys() != fewer.keys()
    ]
    return [found for found in (*ups, *downs, *pairs) if found[0] > 0]


def _steps(chosen: Mapping[str, int], sizes: Sizes) -> Iterator[tuple[str, int, int]]:
    """For each weight the next larger and the next smaller number of bits."""
    for name, bits in chosen.items():
        ladder = sorted(sizes[name], key=sizes[name].__getitem__)
        for step in (1, -1):
            place = ladder.index(bits) + step
            if 0 <= place < len(ladder):
                yield name, step, ladder[place]
