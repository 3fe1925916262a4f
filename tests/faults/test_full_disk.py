"""A disk that is too small, at many sizes: the documented error, a sound store, room to remove."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.fourteen import can_mount, small_disk
from faults.world import World
from faults.zygote import Zygote

BUILD = ("build", "large", "--build", "plain-loud", "-q")
needs_mount = pytest.mark.skipif(not can_mount(), reason="a disk can only be mounted by root")


@contextmanager
def world_on(disk: Path, size: int, world: World) -> Iterator[None]:
    """Put the home and the cache of a world on a disk of so many bytes."""
    with small_disk(disk, size):
        world.home, world.hf = disk / "home", disk / "hf"
        world.hub.requests.clear()
        yield


def meet(world: World, zygote: Zygote, disk: Path, size: int, *, blind: bool) -> int:
    """Build on a small disk, and go on once it is larger; the exit code on the small one."""
    with world_on(disk, size, world):
        said = zygote.run(*BUILD, env=world.env, blind=blind)
        assert said["code"] in (0, 6), said
        if said["code"] == 6:
            assert "disk" in said["err"]
            assert "Traceback" not in said["err"]
        for verb in (("ls",), ("verify", "-q")):
            looked = zygote.run(*verb, env=world.env)
            assert looked["code"] == 0, looked
        removed = zygote.run("rm", "large", "-y", env=world.env)
        assert removed["code"] in (0, 3), removed
        assert not list((world.home / "artifacts").glob("*"))
        options = f"remount,size={20 * world.size}"
        subprocess.run(["mount", "-o", options, str(disk)], check=True)
        again = zygote.run(*BUILD, env=world.env)
        assert again["code"] == 0, again
        assert (Path(again["out"].strip()) / "voice.txt").read_text() == "<1:{}>!!"
    return int(said["code"])


@needs_mount
@pytest.mark.parametrize("blind", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_selection(small_world: World, zygote: Zygote, tmp_path: Path, blind: bool) -> None:
    codes = [
        meet(small_world, zygote, tmp_path / "disk", size, blind=blind)
        for size in (8_192, 150_000, 330_000, 900_000)
    ]
    assert codes[0] == 6
    assert codes[-1] == 0


@needs_mount
@pytest.mark.faults
def test_twenty_sizes(
    small_world: World, zygote: Zygote, tmp_path: Path, tally: Callable[[str, int, int], None]
) -> None:
    codes = []
    for step in range(20):
        size = 4096 * (2 + step * 8)
        for blind in (False, True):
            codes.append(meet(small_world, zygote, tmp_path / "disk", size, blind=blind))
    refused = sum(code == 6 for code in codes)
    tally("disks of 20 sizes, asked first and not", len(codes), sum(c in (0, 6) for c in codes))
    assert refused > 20
    assert codes[-1] == 0
