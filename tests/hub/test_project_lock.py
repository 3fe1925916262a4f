"""A project's lock file: written here, reproduced elsewhere, compared with the Hub."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import Sandbox
from faults.world import REPO, World
from worlds.json_schema import require_document


def test_a_project_is_reproduced_though_the_branch_went_on(
    world: World, sandbox: Sandbox, tmp_path: Path
) -> None:
    lock = tmp_path / "project" / "zoo.lock"
    lock.parent.mkdir()
    early = sandbox.zoo("lock", "large", "--file", str(lock))
    assert early.returncode == 2
    assert "pull it once, which pins it: zoo pull" in early.stderr
    assert sandbox.zoo("pull", "large", "-q").returncode == 0
    assert sandbox.zoo("lock", "large", "--file", str(lock)).returncode == 0
    document = json.loads(lock.read_text())
    (ref,) = document["models"]
    (entry,) = document["sources"].values()
    assert entry["commit"] == world.hub.commit(REPO)
    assert all(len(file["sha256"]) == 64 for file in entry["files"])

    current = sandbox.zoo("outdated", "--json")
    assert current.returncode == 0, current.stderr
    require_document("outdated", json.loads(current.stdout))
    (row,) = json.loads(current.stdout)["models"]
    assert (row["ref"], row["repo"], row["outdated"]) == (ref, REPO, False)

    before = world.content
    world.write_source(seed=2)
    changed = sandbox.zoo("outdated", "large")
    assert changed.returncode == 1
    assert "changed" in changed.stdout

    elsewhere = {"ZOO_HOME": str(tmp_path / "elsewhere")}
    synced = sandbox.zoo("sync", "--file", str(lock), "-q", env=elsewhere)
    assert synced.returncode == 0, synced.stderr
    folder = Path(synced.stdout.split()[-1])
    assert str(tmp_path / "elsewhere") in str(folder) or folder.is_dir()
    assert all((folder / name).read_bytes() == data for name, data in before.items())
    assert json.loads(lock.read_text())["models"] == document["models"]


def test_a_lock_file_without_models_is_explained(sandbox: Sandbox, tmp_path: Path) -> None:
    done = sandbox.zoo("sync", "--file", str(tmp_path / "none.lock"))
    assert done.returncode == 3
    assert "zoo lock NAME" in done.stderr
    bad = tmp_path / "bad.lock"
    bad.write_text('{"schema": 1, "sources": {}, "models": [1]}')
    assert sandbox.zoo("sync", "--file", str(bad)).returncode == 2
