"""A hub with a small repository, and a sandbox that pulls from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Sandbox
from faults.world import World


@pytest.fixture
def world(tmp_path: Path, sandbox: Sandbox) -> Iterator[World]:
    made = World(tmp_path / "world", 100_000)
    sandbox.env = made.env
    yield made
    made.close()
