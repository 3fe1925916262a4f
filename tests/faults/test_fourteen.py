"""The 14 faults through the real command line: in small here, at full size by `make faults`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faults.fourteen import FAULTS, SIZE, can_mount, judge, table
from faults.world import Client, World

NEEDS_MOUNT = "11 disk too small: refused before the body"


@pytest.mark.parametrize("name", FAULTS)
def test_zoo_does_right(tmp_path: Path, name: str) -> None:
    if name == NEEDS_MOUNT and not can_mount():
        pytest.skip("a small disk can only be mounted by root")
    world = World(tmp_path, 6_000_000)
    try:
        assert judge(world, name, Client("zoo"))
    finally:
        world.close()


@pytest.mark.faults
def test_the_table_twice(
    tmp_path: Path, report: Callable[..., None], tally: Callable[[str, int, int], None]
) -> None:
    world = World(tmp_path, SIZE)
    names = [name for name in FAULTS if name != NEEDS_MOUNT or can_mount()]
    clients = [Client("zoo"), Client("zoo"), Client("huggingface_hub")]
    results = {}
    for name in names:
        found = [judge(world, name, client) for client in clients]
        results[name] = {"zoo": found[0], "zoo again": found[1], "huggingface_hub": found[2]}
    world.close()
    report(*table(results), "")
    survived = sum(passed["zoo"] + passed["zoo again"] for passed in results.values())
    tally("the faults that peers were tried on, twice", 2 * len(results), survived)
    assert all(passed["zoo"] and passed["zoo again"] for passed in results.values())
