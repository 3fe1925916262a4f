"""SIGKILL at many points of a build, a prune and a removal: the store opens, is sound, goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.world import World
from faults.zygote import Zygote

BUILD = ("build", "large", "--build", "plain-loud", "-q")
AGAIN = ("build", "large", "--build", "plain", "-q")


class Bench:
    """A world whose commands are forked, and states of it to come back to."""

    def __init__(self, world: World, zygote: Zygote) -> None:
        self.world, self.zygote = world, zygote
        self.saved: Path | None = None

    def run(self, *args: str, **options: Any) -> dict[str, Any]:
        return self.zygote.run(*args, env=self.world.env, **options)

    def save(self) -> None:
        """Remember the home and the cache as they are."""
        self.saved = self.world.folder / "saved"
        self.saved.mkdir()
        for folder in (self.world.home, self.world.hf):
            if folder.exists():
                shutil.copytree(folder, self.saved / folder.name, symlinks=True)

    def restore(self) -> None:
        self.world.empty()
        if self.saved:
            for folder in (self.world.home, self.world.hf):
                if (self.saved / folder.name).exists():
                    shutil.copytree(self.saved / folder.name, folder, symlinks=True)

    def count(self, *args: str) -> int:
        """How many file operations a command does."""
        self.restore()
        said = self.run(*args, within=str(self.world.folder))
        assert said["code"] == 0, said["err"]
        return int(said["operations"])

    def require_sound(self) -> None:
        """The store opens, and nothing in it is wrong."""
        for verb in (("ls",), ("verify", "-q")):
            said = self.run(*verb)
            assert said["code"] == 0, f"{verb}: {said['out']} {said['err']}"

    def require_built(self) -> None:
        """The interrupted build can be finished, and is right."""
        said = self.run(*BUILD)
        assert said["code"] == 0, said["err"]
        assert (Path(said["out"].strip()) / "voice.txt").read_text() == "<1:{}>!!"
        self.require_sound()
        work = self.world.home / "work"
        mine = [p for p in work.glob("*") if "large" in p.name and "plain-loud" in p.name]
        assert mine == []

    def kill(self, args: tuple[str, ...], **where: int) -> bool:
        """Kill a command at one point, look at what is left, and go on; whether it was killed."""
        self.restore()
        said = self.run(*args, within=str(self.world.folder), **where)
        if said["code"] == 0:
            return False
        assert said["code"] == -9, said["err"]
        self.require_sound()
        again = self.run(*args)
        assert again["code"] == 0, again["err"]
        self.require_built()
        return True


@pytest.fixture
def bench(small_world: World, zygote: Zygote) -> Bench:
    return Bench(small_world, zygote)


def spread(total: int, count: int) -> list[int]:
    """`count` numbers from 1 to `total`, evenly."""
    return sorted({1 + i * total // count for i in range(count)})


def sweep(bench: Bench, points: dict[str, int]) -> dict[str, int]:
    """Kill in every phase at so many points each; how many kills there were."""
    killed = {"pull": 0, "build": 0, "prune": 0, "rm": 0}
    for part in range(1, points["pull"] + 1):
        at = part * bench.world.size // (points["pull"] + 1)
        killed["pull"] += bench.kill(BUILD, kill_bytes=at)
    for at in spread(bench.count(*BUILD), points["build"]):
        killed["build"] += bench.kill(BUILD, kill_at=at)
    bench.restore()
    for args in (BUILD, AGAIN):
        assert bench.run(*args)["code"] == 0
    bench.save()
    for phase, args in (("prune", ("prune", "-y")), ("rm", ("rm", "large", "-y"))):
        for at in spread(bench.count(*args), points[phase]):
            if phase == "rm":
                bench.restore()
                said = bench.run(*args, within=str(bench.world.folder), kill_at=at)
                assert said["code"] == -9, said["err"]
                bench.require_sound()
                bench.require_built()
                killed[phase] += 1
            else:
                killed[phase] += bench.kill(args, kill_at=at)
    killed["import"] = _kill_imports(bench, points["import"])
    return killed


def _kill_imports(bench: Bench, count: int) -> int:
    """Kill an import into an empty home; the next one completes."""
    bench.restore()
    archive = str(bench.world.folder / "export.tar")
    assert bench.run("export", "large", "--to", archive)["code"] == 0
    bench.saved = None
    for at in spread(bench.count("import", archive), count):
        bench.restore()
        said = bench.run("import", archive, within=str(bench.world.folder), kill_at=at)
        assert said["code"] == -9, said["err"]
        bench.require_sound()
        again = bench.run("import", archive)
        assert again["code"] == 0, again["err"]
        bench.require_sound()
        assert len(list((bench.world.home / "artifacts").iterdir())) == 4
        assert list((bench.world.home / "work").iterdir()) == []
    return count


def test_a_selection(bench: Bench) -> None:
    few = {"pull": 2, "build": 4, "prune": 1, "rm": 1, "import": 1}
    killed = sweep(bench, few)
    assert killed == few


@pytest.mark.faults
def test_200_points(bench: Bench, tally: Callable[[str, int, int], None]) -> None:
    killed = sweep(bench, {"pull": 30, "build": 150, "prune": 30, "rm": 30, "import": 30})
    for phase, count in killed.items():
        tally(f"SIGKILL in {phase}", count, count)
    assert sum(killed.values()) >= 200
