"""What the fault tests found, as a table after all other output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.world import World
from faults.zygote import Zygote

LINES: list[str] = []
ROWS: dict[str, tuple[int, int]] = {}


@pytest.fixture
def tally() -> Callable[[str, int, int], None]:
    """Count a kind of fault in the table: how often it was tried, and how often survived."""

    def add(kind: str, tried: int, survived: int) -> None:
        before = ROWS.get(kind, (0, 0))
        ROWS[kind] = before[0] + tried, before[1] + survived

    return add


@pytest.fixture
def report() -> Callable[..., None]:
    """Add lines below the table."""
    return lambda *lines: LINES.extend(lines)


@pytest.fixture
def small_world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, 300_000)
    yield world
    world.close()


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made = Zygote(scratch)
    yield made
    made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.section("what was survived")
        width = max(map(len, ROWS))
        terminalreporter.write_line(f"{'KIND':<{width}}  {'TRIED':>9}  {'SURVIVED':>9}")
        for kind, (tried, survived) in sorted(ROWS.items()):
            terminalreporter.write_line(f"{kind:<{width}}  {tried:>9,}  {survived:>9,}")
    if LINES:
        terminalreporter.section("in detail")
        for line in LINES:
            terminalreporter.write_line(line)
