"""Many processes at one store: pulls, loads, removals and prunes, all at once."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.world import BODY, World
from faults.zygote import Zygote

VERBS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "pull": (("pull", "large", "-q"), (0,)),
    "load": (("load", "large", "plain-loud"), (0,)),
    "load plain": (("load", "large", "plain"), (0,)),
    "rm": (("rm", "large", "-y"), (0, 1, 3)),  # in use, or nothing there
    "prune": (("prune", "-y"), (0, 1)),
}
"""Each command, and the exit codes that it may end with."""


class Member:
    """One of the crowd: a process that runs one command after another."""

    def __init__(self, world: World, number: int, no_flock: bool) -> None:
        scratch = world.folder / f"scratch{number}"
        scratch.mkdir()
        self.world, self.no_flock = world, no_flock
        self.zygote = Zygote(scratch)
        self.choices = random.Random(number)
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []

    def work(self, rounds: int) -> None:
        for _ in range(rounds):
            name = self.choices.choice(list(VERBS))
            args, codes = VERBS[name]
            said = self.zygote.run(*args, env=self.world.env, no_flock=self.no_flock)
            self.done[f"{name}: {said['code']}"] += 1
            if said["code"] not in codes or not self._right(name, said):
                self.wrong.append(f"{name}: {said}")

    def _right(self, name: str, said: dict[str, Any]) -> bool:
        if name == "pull":
            folder = Path(said["out"].strip())
            return all((folder / n).read_bytes() == d for n, d in self.world.content.items())
        if name == "load":
            return bool(said["out"] == "<1:x>!!\n")
        return name != "load plain" or said["out"] == "<1:x>\n"


def gather(world: World, members: int, rounds: int, no_flock: bool = False) -> list[Member]:
    crowd = [Member(world, number, no_flock) for number in range(members)]
    threads = [threading.Thread(target=one.work, args=(rounds,)) for one in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [wrong for one in crowd for wrong in one.wrong] == []
    assert len(world.hub.seen(BODY)) == 1
    assert len(world.hub.seen("^GET .*/resolve/.*voice.txt")) == 1
    said = crowd[0].zygote.run("verify", env=world.env)
    assert said["code"] == 0, said
    for one in crowd:
        one.zygote.close()
    return crowd


@pytest.mark.parametrize("no_flock", [False, True])
def test_a_small_crowd(small_world: World, no_flock: bool) -> None:
    gather(small_world, 3, 5, no_flock)


@pytest.mark.faults
@pytest.mark.parametrize("no_flock", [False, True])
def test_eight_for_fifty_rounds(
    small_world: World,
    report: Callable[..., None],
    tally: Callable[[str, int, int], None],
    no_flock: bool,
) -> None:
    crowd = gather(small_world, 8, 50, no_flock)
    done = sum((one.done for one in crowd), Counter())
    told = ", ".join(f"{name} x {count}" for name, count in sorted(done.items()))
    where = "where flock does nothing" if no_flock else "where flock works"
    tally(f"rounds of 8 processes, {where}", 400, done.total())
    report(f"8 processes {where} (verb: exit code): {told}")
    assert done.total() == 400
