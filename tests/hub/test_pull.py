"""A pull through the command line: what is asked first, what is pinned, what is said."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from conftest import Sandbox
from faults.world import BODY, REPO, WEIGHTS, Client, World

from zoo.catalogs.pins import Lock
from zoo.catalogs.source import File, Source
from zoo.errors import IntegrityError, RecipeError
from zoo.files.digests import sha256_uncached
from zoo.testing.loopback_hub import Fault


def lock_of(world: World) -> dict:
    return json.loads((world.home / "zoo.lock").read_text())["sources"][f"{REPO}@main"]


def test_the_first_pull_pins_the_branch_and_every_later_one_keeps_to_it(
    world: World, sandbox: Sandbox
) -> None:
    assert sandbox.zoo("pull", "large", "-q").returncode == 0
    entry = lock_of(world)
    assert entry["commit"] == world.hub.commit(REPO)
    digests = {file["path"]: file["sha256"] for file in entry["files"]}
    assert digests == {n: sha256_uncached(world.source / n) for n in (WEIGHTS, "voice.txt")}
    before = world.content
    world.write_source(seed=2)
    world.hub.requests.clear()
    for key in (p.name for p in (world.home / "artifacts").iterdir()):
        assert sandbox.zoo("rm", key, "-y").returncode == 0
    again = sandbox.zoo("pull", "large", "-q")
    assert again.returncode == 0, again.stderr
    folder = Path(again.stdout.strip())
    assert all((folder / name).read_bytes() == data for name, data in before.items())
    assert lock_of(world) == entry


def test_a_lock_that_says_otherwise_is_enforced_on_what_is_stored(
    world: World, sandbox: Sandbox
) -> None:
    assert sandbox.zoo("pull", "large", "-q").returncode == 0
    lock = json.loads((world.home / "zoo.lock").read_text())
    lock["sources"][f"{REPO}@main"]["files"][0]["sha256"] = "0" * 64
    (world.home / "zoo.lock").write_text(json.dumps(lock))
    said = sandbox.zoo("pull", "large", "-q")
    assert said.returncode == 5
    assert "zoo.lock records" in said.stderr
    assert "expected 0000" in said.stderr


def test_all_the_room_is_asked_for_first(world: World, sandbox: Sandbox) -> None:
    recipe = world.config / "one.toml"
    recipe.write_text(recipe.read_text().replace("parameters = 10\n", f"parameters = {10**15}\n"))
    said = sandbox.zoo("build", "large", "--build", "plain-loud")
    assert said.returncode == 6
    for part in ("the source 2000", "intermediates 2000", "the result 2000", "free"):
        assert part in said.stderr
    assert not world.hub.seen("resolve")


def test_offline_says_exactly_what_is_missing(world: World, sandbox: Sandbox) -> None:
    assert sandbox.zoo("pull", "large", "-q").returncode == 0
    next(world.hf.rglob("snapshots/*/voice.txt")).resolve().unlink()
    said = sandbox.zoo("pull", "large", "-q", env={"HF_HUB_OFFLINE": "1"})
    assert said.returncode == 7
    assert "lacks files of 'acme/large' at revision" in said.stderr
    assert "voice.txt (6 B)" in said.stderr
    assert WEIGHTS not in said.stderr.partition("error:")[2]


def test_a_source_that_rotted_is_mended_by_the_next_pull(world: World, sandbox: Sandbox) -> None:
    assert sandbox.zoo("pull", "large", "-q").returncode == 0
    blob = world.blobs()[0]
    blob.write_bytes(bytes([blob.read_bytes()[0] ^ 1]) + blob.read_bytes()[1:])
    world.hub.requests.clear()
    said = sandbox.zoo("pull", "large")
    assert said.returncode == 0, said.stderr
    assert "is corrupt" in said.stderr
    assert "fetching what is wrong" in said.stderr
    assert len(world.hub.seen(BODY)) == 1
    assert (Path(said.stdout.strip()) / WEIGHTS).read_bytes() == world.content[WEIGHTS]


def test_what_was_downloaded_can_go_too(world: World, sandbox: Sandbox) -> None:
    assert sandbox.zoo("build", "large", "--build", "plain-loud", "-q").returncode == 0
    snapshot = next(world.hf.rglob("snapshots/*"))
    other = snapshot.with_name("f" * 40)  # another commit, of another program, with one same file
    other.mkdir()
    (other / "voice.txt").symlink_to((snapshot / "voice.txt").readlink())
    kept = sandbox.zoo("rm", "large", "-y")
    assert "outside the store and stays" in kept.stderr
    assert len(world.blobs()) == 1
    assert sandbox.zoo("pull", "large", "-q").returncode == 0
    gone = sandbox.zoo("rm", "large", "-y", "--downloads")
    assert gone.returncode == 0, gone.stderr
    assert "freed in the Hub's cache" in gone.stderr
    assert "stays" not in gone.stderr
    assert world.blobs() == []
    assert not snapshot.exists()
    assert (other / "voice.txt").read_text() == "<1:{}>"
    assert sandbox.zoo("pull", "large", "-q").returncode == 0


SOURCE = Source(repo="a/b", branch="main")
FILES = (File("x", 1, "1" * 64), File("y", 2, "2" * 64))


def test_a_lock_grows_and_never_changes(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "zoo.lock")
    lock.record(SOURCE, "c" * 40, FILES[:1])
    lock.record(SOURCE, "c" * 40, [File("x", 9, "9" * 64), FILES[1]])
    lock.record(SOURCE, "d" * 40, [File("z", 9, "9" * 64)])
    pinned = lock.pin(SOURCE)
    assert (pinned.revision, pinned.files) == ("c" * 40, FILES)
    with pytest.raises(IntegrityError, match="other bytes or another commit"):
        lock.adopt({"a/b@main": {"commit": "d" * 40, "files": []}})
    assert sorted(p.name for p in tmp_path.iterdir()) == [".zoo.lock.held", "zoo.lock"]


@pytest.mark.parametrize(
    "sources",
    [
        [], {"a/b@main": 3}, {"a/b@main": {"commit": "main", "files": []}},
        {"a/b@main": {"commit": None, "files": 3}}, {"a/b@main": {"files": []}},
        {"a/b@main": {"commit": None, "files": [{"path": "x", "size": 1, "sha256": "x"}]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_lock_that_is_none_is_refused(tmp_path: Path, sources: object) -> None:
    path = tmp_path / "zoo.lock"
    path.write_text(json.dumps({"schema": 1, "sources": sources}))
    with pytest.raises(RecipeError, match="cannot be read"):
        Lock(path).pin(SOURCE)


def test_an_interrupted_pull_goes_on_where_it_was(world: World, sandbox: Sandbox) -> None:
    world.hub.faults.append(Fault(BODY, rate=world.size / 8))
    client = Client("zoo")
    process = client.start(world)
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size > 20_000 for path in world.blobs()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = client.finish(process)
    assert said.code == 130
    assert re.search(r"interrupted; [\d.]+ k?B of [\d.]+ k?B are kept, run it again", said.err), (
        said.err
    )
    assert "Traceback" not in said.err
    world.hub.requests.clear()
    assert world.right(client.pull(world))
    (request,) = world.hub.seen(BODY)
    assert request.range is not None


@pytest.mark.parametrize("first", ["zoo", "huggingface_hub"])
def test_two_programs_fetch_a_file_once(world: World, sandbox: Sandbox, first: str) -> None:
    """zoo and the Hub's own client respect each other's locks."""
    second = "huggingface_hub" if first == "zoo" else "zoo"
    world.hub.faults.append(Fault(BODY, rate=world.size / 3))
    began = Client(first).start(world)
    while not world.hub.seen(BODY):
        time.sleep(0.01)
    other = Client(second).pull(world)
    assert world.right(other), other.err
    assert world.right(Client(first).finish(began))
    assert len(world.hub.seen(BODY)) == 1
