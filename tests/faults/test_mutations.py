"""A million mutated headers: no crash, and no more memory than before."""

from __future__ import annotations

import resource
from collections.abc import Callable

import pytest

from faults.mutations import mutate

MILLION = 1_000_000


@pytest.mark.faults
def test_a_million(report: Callable[..., None], tally: Callable[[str, int, int], None]) -> None:
    mutate(10_000, seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count, refused = mutate(MILLION, seed=3)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    report(f"{count:,} mutated safetensors headers: {refused:,} refused, {grown:.0f} MiB grown")
    tally("mutated safetensors headers", MILLION, count)
    assert count == MILLION
    assert grown < 64
