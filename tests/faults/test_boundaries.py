"""What comes in from outside is taken, or refused as planned; nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from faults.boundaries import BOUNDARIES, SLOW, Boundary, spoilt
from zoo.hub import transfer

NAMES = [boundary.name for boundary in BOUNDARIES]
QUICK, LONG = 60, 3_000
Tally = Callable[[str, int, int], None]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSES", (0.0,))


def hold(boundary: Boundary, count: int) -> tuple[int, int]:
    """Try so many spoilt inputs; how many there were, and how many were refused."""
    right = boundary.right()
    seen = {"tried": 0, "refused": 0}

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def try_one(data: st.DataObject) -> None:
        given_bytes = data.draw(spoilt(right))
        seen["tried"] += 1
        with TemporaryDirectory() as folder:
            try:
                boundary.take(given_bytes, Path(folder))
            except boundary.planned:
                seen["refused"] += 1

    try_one()
    return seen["tried"], seen["refused"]


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=NAMES)
def test_what_is_right_is_taken(boundary: Boundary, tmp_path: Path) -> None:
    boundary.take(boundary.right(), tmp_path)


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=NAMES)
def test_a_few_that_are_spoilt(boundary: Boundary) -> None:
    tried, refused = hold(boundary, QUICK // 3 if boundary.name in SLOW else QUICK)
    assert tried > 0
    assert refused > 0 or not boundary.planned


@pytest.mark.faults
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=NAMES)
def test_many_that_are_spoilt(boundary: Boundary, tally: Tally) -> None:
    count = LONG // 10 if boundary.name in SLOW else LONG
    tally(f"spoilt: {boundary.name}", count, 0)
    tried, _ = hold(boundary, count)
    tally(f"spoilt: {boundary.name}", 0, tried)
