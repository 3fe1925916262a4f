"""Locks: one holder at a time, whatever the file system and however the last one ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from zoo.files import locks

COUNT = """
import sys, time
from pathlib import Path
from zoo.files import locks
if sys.argv[3] == "dead":
    locks._flock = lambda path: None
counter = Path(sys.argv[1]) / "counter"
for _ in range(int(sys.argv[2])):
    with locks.holding(Path(sys.argv[1]) / "lock"):
        seen = int(counter.read_text())
        time.sleep(0.002)
        counter.write_text(str(seen + 1))
"""


@pytest.mark.parametrize("flock", ["works", "dead"])
def test_processes_exclude_each_other(tmp_path: Path, flock: str) -> None:
    (tmp_path / "counter").write_text("0")
    line = [sys.executable, "-c", COUNT, str(tmp_path), "25", flock]
    running = [subprocess.Popen(line) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert (tmp_path / "counter").read_text() == "100"


@pytest.mark.parametrize("flock", ["works", "dead"])
def test_threads_exclude_each_other(
    tmp_path: Path, flock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flock == "dead":
        monkeypatch.setattr(locks, "_flock", lambda path: None)
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(10):
            with locks.holding(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1


def test_the_claim_of_a_killed_process_is_passed_at_once(tmp_path: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom zoo.files import locks\n"
        "with locks.holding(Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "l")], check=False)
    assert done.returncode == -9
    began = time.monotonic()
    with locks.holding(tmp_path / "l"):
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(("age", "free"), [(0, False), (locks.LEASE + 5, True)])
def test_a_claim_of_another_machine_lasts_while_it_is_touched(
    tmp_path: Path, age: float, free: bool
) -> None:
    folder = tmp_path / "l"
    folder.mkdir()
    claim = folder / "3"
    claim.symlink_to("0123456789ab:77:5:elsewhere")
    when = time.time() - age
    os.utime(claim, (when, when), follow_symlinks=False)
    if free:
        with locks.holding(folder):
            assert (folder / "4").is_symlink()
        return
    with (
        pytest.raises(locks.Taken, match="process 77 on elsewhere"),
        locks.holding(folder, wait=False),
    ):
        pass


def test_a_process_number_that_was_given_again_is_not_mistaken(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    folder.mkdir()
    host, pid, _, name = locks.this_process().split(":", 3)
    (folder / "1").symlink_to(f"{host}:{pid}:12:{name}")
    with locks.holding(folder, wait=False):
        pass


def test_an_old_number_wins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that saw claim 1 and slept while others took and freed 2 and 3 must not hold."""
    folder = tmp_path / "l"
    folder.mkdir()
    (folder / "3").symlink_to(locks.FREE)
    real = locks._highest
    answers = iter([1])
    monkeypatch.setattr(locks, "_highest", lambda folder: next(answers, None) or real(folder))
    (folder / "1").symlink_to(locks.FREE)
    assert locks._try(folder) == "another process"
    assert not (folder / "2").is_symlink()
    with locks.holding(folder, wait=False):
        assert locks._numbers(folder) == [4]


def test_whoever_waits_is_told_by_whom_and_can_stop(tmp_path: Path) -> None:
    told: list[str] = []
    stop = threading.Event()
    stop.set()
    with locks.holding(tmp_path / "l"):
        with pytest.raises(locks.Taken), locks.holding(tmp_path / "l", told.append, stop=stop):
            pass
        assert locks.holder(tmp_path / "l") is not None
    assert f"process {os.getpid()}" in told[0]
    assert locks.holder(tmp_path / "l") is None


def test_a_file_system_without_links_has_claims_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    folder = tmp_path / "l"
    for _ in range(3):
        with locks.holding(folder), pytest.raises(locks.Taken), locks.holding(folder, wait=False):
            pass


def test_without_proc_a_claim_left_by_a_kill_is_passed_where_flock_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: the number of the dead process is in use again, by a process that holds none."""
    monkeypatch.setattr(locks, "_began", locks._exists)
    folder = tmp_path / "l"
    folder.mkdir()
    host, _, _, name = locks.this_process().split(":", 3)
    (folder / "1").symlink_to(f"{host}:{os.getppid()}:{locks.UNKNOWN}:{name}")
    with (
        locks.holding(folder, wait=False),
        pytest.raises(locks.Taken),
        locks.holding(folder, wait=False),
    ):
        pass


def test_claims_that_are_garbage_hold_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "l"
    folder.mkdir()
    (folder / ("9" * 30)).write_bytes(b"\xff\xfe garbage")
    os.mkfifo(folder / ("9" * 31))
    with locks.holding(folder, wait=False):
        pass


def test_links_in_the_folder_of_a_lock_are_not_followed(tmp_path: Path) -> None:
    folder, precious = tmp_path / "l", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("P")
    before = precious.stat().st_mtime_ns
    (folder / "flock").symlink_to(tmp_path / "made")
    (folder / "1").symlink_to("other:1:1:another machine")
    assert "another machine" in str(locks.holder(folder))
    (folder / "flock").unlink()
    (folder / "flock").symlink_to(precious)
    (folder / "1").unlink()
    with locks.holding(folder, wait=False):
        pass
    assert not (tmp_path / "made").exists()
    assert (precious.read_text(), precious.stat().st_mtime_ns) == ("P", before)
