"""The verbs for what is on the disk: ls, du, rm, prune, verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from cli.world import Said, put
from zoo.files import locks
from zoo.pipeline.installed import current_keys
from zoo.store.store import Store


def test_ls_and_du(zoo: Callable[..., Said], home: Path) -> None:
    empty = zoo("ls")
    assert (empty.code, empty.out) == (0, "")
    put(home, "k1", step="download")
    put(home, "k2", build="mlx-4bit", format="mlx", check={"status": "passed"})
    put(home, "k3", build="mlx-4bit", failed=True)
    (home / "artifacts" / "k4").mkdir()
    (home / "artifacts" / "k4" / "manifest.json").write_text("null")
    said = zoo("ls")
    assert said.code == 0
    _, source, passed, corrupt, failed = said.out.splitlines()
    assert source.split()[:2] == ["user/tiny:one", "download"]
    assert passed.split()[0] == failed.split()[0] == "user/tiny:one/mlx-4bit"
    assert "passed" in passed
    assert "failed" in failed
    assert corrupt.split()[0] == "k4"
    assert "corrupt" in corrupt
    assert "k2" not in passed
    assert "k2" in zoo("ls", "--keys").out
    assert "4 artifacts" in said.err
    data = zoo("ls", "--json").json
    assert set(data) == {"artifacts", "bytes"}
    assert set(data["artifacts"][0]) == {
        "key", "name", "ref", "step", "build", "format", "bytes", "created", "path", "failed", "check",
        "problem",
    }  # fmt: skip
    assert data["bytes"] == 3 * 4000
    used = zoo("du", "--json").json
    assert set(used) == {"home", "items", "bytes", "elsewhere_bytes", "free_bytes"}
    assert {i["step"] for i in used["items"]} == {"download", "build", "failed", "corrupt"}
    assert used["bytes"] == sum(i["bytes"] for i in used["items"])
    assert zoo("du").out.splitlines()[-1].startswith("total")


def test_du_counts_shared_files_once(zoo: Callable[..., Said], home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").write_bytes(b"x" * 8192)
    put(home, "k1", step="download", elsewhere=mine)
    put(home, "k2", elsewhere=mine)
    items = zoo("du", "--json").json["items"]
    assert [(i["step"], i["elsewhere_bytes"]) for i in items] == [("download", 8192), ("build", 0)]


def test_rm(zoo: Callable[..., Said], home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").write_bytes(b"precious")
    put(home, "k1", step="download", elsewhere=mine)
    put(home, "k2", build="mlx-4bit")
    put(home, "k3", build="torch")
    asked = zoo("rm", "wee")
    assert asked.code == 2
    assert "-y" in asked.err
    dry = zoo("rm", "wee", "--dry-run", "--json").json
    assert dry["dry_run"] is True
    assert dry["removed"] == ["k1", "k2", "k3"]
    assert dry["bytes"] > 0
    one = zoo("rm", "tiny:one/mlx-4bit", "-y")
    assert one.out.splitlines()[0] == "removed k2"
    assert "freed" in one.out
    everything = zoo("rm", "tiny", "-y")
    assert "stays" in everything.err
    assert (mine / "w.bin").read_bytes() == b"precious"
    assert zoo("ls", "--json").json["artifacts"] == []


def test_rm_takes_what_has_its_files_inside(zoo: Callable[..., Said], home: Path) -> None:
    entry = put(home, "k1", step="convert")
    put(home, "k2", elsewhere=entry / "data")
    said = zoo("rm", "k1", "-y")
    assert "k2 goes too" in said.err
    assert zoo("ls", "--json").json["artifacts"] == []


@pytest.mark.parametrize("text", ["", "null", "[]", '{"files": 3}', "\x00", '{"files": []}'])
def test_rm_of_a_corrupt_manifest(zoo: Callable[..., Said], home: Path, text: str) -> None:
    entry = put(home, "k1")
    (entry / "manifest.json").write_text(text)
    assert zoo("verify").code == 5
    assert zoo("list", "tiny").code == 0
    assert zoo("rm", "k1", "-y").code == 0
    assert not entry.exists()


def test_rm_never_leaves_the_store(zoo: Callable[..., Said], home: Path) -> None:
    put(home, "k1")
    for name in ("..", "../config", "/", ".", ""):
        assert zoo("rm", name, "-y").code in (2, 3)
    assert (home / "artifacts" / "k1").is_dir()


def test_rm_asks_on_a_terminal(
    zoo: Callable[..., Said], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.cli import removal

    entry = put(home, "k1")
    monkeypatch.setattr(removal, "_has_terminal", lambda: True)
    said = zoo("rm", "k1", stdin="n\n")
    assert said.code == 1
    assert "nothing was removed" in said.err
    assert entry.exists()
    assert zoo("rm", "k1", stdin="y\n").code == 0
    assert not entry.exists()


def test_prune(zoo: Callable[..., Said], home: Path) -> None:
    entry = put(home, "k1", step="convert")
    put(home, "k2", elsewhere=entry / "data")
    put(home, "k3", step="convert")
    put(home, "k4", failed=True)
    put(home, "k5")
    (home / "work" / "k6.abc").mkdir()
    dry = zoo("prune", "--dry-run", "--json").json
    assert sorted(dry["removed"]) == ["k3", "k4", "k6.abc"]
    assert zoo("prune").code == 2
    assert zoo("prune", "-y").code == 0
    left = [a["key"] for a in zoo("ls", "--json").json["artifacts"]]
    assert left == ["k1", "k2", "k5"]
    again = zoo("prune")
    assert (again.code, again.out) == (0, "nothing to remove\n")


def test_verify(zoo: Callable[..., Said], home: Path) -> None:
    assert zoo("verify").code == 0
    first, second = put(home, "k1"), put(home, "k2", build="mlx-4bit")
    assert zoo("verify").out.splitlines() == ["k1: ok", "k2: ok"]
    (first / "data" / "w.bin").write_bytes(b"k9" * 2000)
    (second / "data" / "w.bin").unlink()
    said = zoo("verify", "--json")
    assert said.code == 5
    assert said.json["faults"] == 2
    assert set(said.json["artifacts"][0]) == {"key", "ref", "faults", "repaired"}
    assert "k2: w.bin is missing" in zoo("verify").out
    assert zoo("verify", "tiny:one/mlx-4bit").out.splitlines() == ["k2: w.bin is missing"]


def test_prune_old_takes_what_would_now_be_made_anew(zoo: Callable[..., Said], home: Path) -> None:
    current = next(k for k in current_keys("tiny")["torch"] if k.startswith("user-tiny-one-t"))
    put(home, current)
    put(home, "k1")  # a build of a recipe or a version that is no longer
    put(home, "k2", ref="user/gone:one")
    put(home, "k3", build="gone")
    assert zoo("prune", "--dry-run", "--json").json["removed"] == []
    assert zoo("prune", "--old", "--dry-run", "--json").json["removed"] == ["k1"]
    assert zoo("prune", "--old", "-y").code == 0
    left = [a["key"] for a in zoo("ls", "--json").json["artifacts"]]
    assert sorted(left) == sorted(["k2", "k3", current])


def test_prune_downloads_takes_what_nobody_is_at(
    zoo: Callable[..., Said], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    blobs = cache / "models--acme--tiny" / "blobs"
    blobs.mkdir(parents=True)
    idle, busy, whole = (blobs / n for n in ("aa.incomplete", "bb.incomplete", "cc"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (cache / "models--acme--moved").mkdir()
    (cache / "models--acme--moved" / "blobs").symlink_to(elsewhere)
    (blobs / "dd.incomplete").mkdir()
    precious = elsewhere / "ee.incomplete"
    for path in (idle, busy, whole, precious):
        path.write_bytes(b"x" * 5000)
    with locks.holding(cache / ".locks" / "models--acme--tiny" / "bb.zoo"):
        said = zoo("prune", "--downloads", "-y", "--json").json
    assert said["removed"] == ["aa.incomplete"]
    assert said["bytes"] >= 5000
    assert [p.exists() for p in (idle, busy, whole, precious)] == [False, True, True, True]


def test_what_is_in_use_stays(zoo: Callable[..., Said], home: Path) -> None:
    put(home, "k1")
    put(home, "k2", build="mlx-4bit")
    with Store(home).using("k1"):
        said = zoo("rm", "tiny", "-y")
    assert said.code == 1
    assert "k1 is in use by process" in said.err
    assert said.out.splitlines()[0] == "removed k2"
    assert (home / "artifacts" / "k1").is_dir()
