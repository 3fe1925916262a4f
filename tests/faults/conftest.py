"""What the fault tests found, as a table after all other output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.world import World
from faults.zygote import Zygote

LINES: list[str] = []


@pytest.fixture
def report() -> Callable[..., None]:
    """Add lines to the table at the end."""
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
    if LINES:
        terminalreporter.section("what was survived")
        for line in LINES:
            terminalreporter.write_line(line)
