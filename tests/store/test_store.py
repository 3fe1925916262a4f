"""The store: whole or not at all, never trusted blindly, and always possible to clean."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from zoo.errors import IntegrityError, InUse
from zoo.files import digests, locks
from zoo.store.folders import disk_usage
from zoo.store.store import Manifest, Store, describe_files, key_of, now


def publish(store: Store, key: str, text: str = "hello", failed: bool = False):
    with store.lock(key), store.workdir(key) as workdir:
        (workdir / "sub").mkdir()
        (workdir / "sub" / "a.txt").write_text(text)
        files = describe_files(workdir)
        manifest = Manifest(key, "m:v", "build", "b", "plain", now(), "data", {}, files)
        return store.publish(workdir, workdir, manifest, failed)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def test_what_is_published_is_found(store):
    publish(store, "k")
    found = store.get("k")
    assert (found.path / "sub" / "a.txt").read_text() == "hello"
    assert found.manifest.size == 5
    assert store.leftovers() == []


def test_a_failed_build_is_kept_aside(store):
    artifact = publish(store, "k", failed=True)
    assert store.get("k") is None
    assert store.leftovers() == [artifact.entry]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_never_returned(store, damage):
    path = publish(store, "k").path / "sub" / "a.txt"
    if damage == "flip":
        path.write_text("hellO")
    elif damage == "truncate":
        path.write_text("hell")
    else:
        path.unlink()
    with pytest.raises(IntegrityError, match=r"sub/a\.txt"):
        store.get("k")
    assert len(store.verify(store.artifacts / "k")) == 1


def test_a_flip_with_the_old_time_is_found_by_verify(store):
    path = publish(store, "k").path / "sub" / "a.txt"
    stat = path.stat()
    path.write_text("hellO")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store.verify(store.artifacts / "k") == ["sub/a.txt has other bytes than recorded"]


def test_touched_files_are_hashed_again_and_then_trusted(store):
    path = publish(store, "k").path / "sub" / "a.txt"
    os.utime(path, ns=(1, 1))
    assert store.get("k").manifest.files[0].mtime_ns == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": []}', '{"files": [{}]}'])
def test_a_broken_manifest_is_an_integrity_error(store, text):
    entry = publish(store, "k").entry
    (entry / "manifest.json").write_text(text)
    with pytest.raises(IntegrityError, match="manifest of k"):
        store.get("k")
    assert store.verify(entry)
    assert store.remove(entry) > 0
    assert store.get("k") is None


def test_work_of_the_dead_is_swept_by_the_next_holder(store):
    leftover = store.work / "k.dead"
    leftover.mkdir(parents=True)
    store.locks.mkdir()
    assert store.leftovers() == [leftover]
    with store.lock("k"):
        assert not leftover.exists()


def test_whoever_waits_for_a_key_is_told(store):
    waited = []
    with store.lock("k"):
        other = threading.Thread(target=lambda: publish_after(store, waited))
        other.start()
        while not waited:
            time.sleep(0.01)
        assert store.get("k") is None
    other.join(10)
    assert store.get("k") is not None


def publish_after(store, waited):
    with store.lock("k", lambda: waited.append(True)):
        pass
    publish(store, "k")


def test_a_flip_whose_time_was_set_back_is_found_at_the_next_use(store):
    path = publish(store, "k").path / "sub" / "a.txt"
    stat = path.stat()
    path.write_text("hellO")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    digests._known.clear()
    with pytest.raises(IntegrityError, match="other bytes"):
        store.get("k")


def test_a_file_that_was_planted_is_found_by_verify(store):
    artifact = publish(store, "k")
    (artifact.path / "model-extra.safetensors").write_text("planted")
    said = store.verify(artifact.entry)
    assert said == ["model-extra.safetensors was put there by another program"]


def test_what_is_in_use_is_not_removed(store):
    entry = publish(store, "k").entry
    with store.using("k"), pytest.raises(InUse, match=f"in use by process {os.getpid()}"):
        store.remove(entry)
    assert store.get("k") is not None
    assert store.remove(entry) > 0
    assert store.get("k") is None
    assert store.leftovers() == []


def test_the_mark_of_a_dead_user_is_wiped(store):
    publish(store, "k")
    host = locks.this_process().partition(":")[0]
    (store.locks / "k" / "using.dead").symlink_to(f"{host}:1:0:here")
    assert store.users("k") == []
    assert store.remove(store.artifacts / "k") > 0


def test_publishing_again_replaces_the_whole(store):
    publish(store, "k", "one")
    publish(store, "k", "two")
    assert (store.get("k").path / "sub" / "a.txt").read_text() == "two"
    assert list(store.work.iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a\\b", "a\0", "CON"])
def test_a_manifest_cannot_point_outside(store, path):
    entry = publish(store, "k").entry
    manifest = json.loads((entry / "manifest.json").read_text())
    manifest["files"][0]["path"] = path
    (entry / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IntegrityError, match="not a plain path"):
        store.get("k")


def test_shared_blobs_are_counted_once(store, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    (one / "big").write_bytes(b"x" * 100_000)
    os.link(one / "big", two / "big")
    assert disk_usage([one, two]) == disk_usage([one])


def test_a_key_changes_with_every_input():
    keys = {key_of("m", inputs) for inputs in ({}, {"a": 1}, {"a": "1"}, {"b": 1}, {"a": [1]})}
    assert len(keys) == 5


def test_a_corrupt_artifact_stops_the_command_and_can_be_removed(sandbox):
    sandbox.echo()
    assert sandbox.zoo("build", "echo").returncode == 0
    entry = next(p for p in sandbox.artifacts() if "plain" in p.name)
    (entry / "data" / "voice.txt").write_text("[]")
    result = sandbox.zoo("build", "echo")
    assert result.returncode == 5
    assert "voice.txt has other bytes than recorded" in result.stderr
    assert f"zoo verify --repair {entry.name}" in result.stderr
    verified = sandbox.zoo("verify", "--json")
    assert verified.returncode == 5
    assert "voice.txt" in json.dumps(json.loads(verified.stdout))
    assert sandbox.zoo("rm", entry.name, "-y").returncode == 0
    assert sandbox.zoo("build", "echo").returncode == 0
    assert sandbox.zoo("verify").returncode == 0


def test_a_disk_that_is_too_small_is_refused_before_the_work(sandbox):
    sandbox.echo()
    recipe = sandbox.site / "zoo_echo" / "recipes" / "one.toml"
    recipe.write_text(recipe.read_text().replace("parameters = 1", f"parameters = {10**18}"))
    result = sandbox.zoo("build", "echo:one/plain-loud")
    assert result.returncode == 6
    assert "needs" in result.stderr
    assert "free" in result.stderr
    assert not [p for p in sandbox.artifacts() if "loud" in p.name]


def test_a_source_with_other_bytes_than_pinned_is_refused(sandbox):
    sandbox.echo()
    (sandbox.site / "zoo_echo" / "recipes" / "model" / "voice.txt").write_text("<>\n")
    result = sandbox.zoo("build", "echo")
    assert result.returncode == 5
    assert "voice.txt" in result.stderr
    assert sandbox.artifacts() == []


def test_a_verdict_recorded_meanwhile_is_kept(store):
    """A reader that saw a touched file writes its new times, and nothing else that it read before."""
    seen = publish(store, "k")
    store.update(seen, check={"status": "passed"})
    os.utime(seen.path / "sub" / "a.txt", ns=(1, 1))
    refreshed = store._refresh(seen)
    assert refreshed.manifest.files[0].mtime_ns == 1
    assert store.get("k").manifest.check == {"status": "passed"}
    assert store.get("k").manifest.files[0].mtime_ns == 1


def test_a_mark_of_a_machine_that_is_gone_expires(store):
    entry = publish(store, "k").entry
    mark = store.locks / "k" / "using.abc"
    mark.symlink_to("0123456789ab:7:5:gone-container")
    with pytest.raises(InUse, match="process 7 on gone-container"):
        store.remove(entry)
    old = time.time() - locks.LEASE - 5
    os.utime(mark, (old, old), follow_symlinks=False)
    assert store.remove(entry) > 0
    assert not mark.is_symlink()


def test_a_manifest_of_a_newer_zoo_is_not_called_corrupt(store):
    entry = publish(store, "k").entry
    data = json.loads((entry / "manifest.json").read_text())
    (entry / "manifest.json").write_text(json.dumps({**data, "schema": 2, "more": 1}))
    with pytest.raises(IntegrityError, match="was made by a newer zoo") as caught:
        store.get("k")
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000, b'{"schema": ' + b"9" * 5_000 + b"}", b"\xff\xfe", b"{}",
        b'{"files": [], "origin": {"sources": "abc"}}',
    ],
    ids=["deep", "long number", "no text", "empty", "wrong type"],
)  # fmt: skip
def test_a_hostile_manifest_is_an_integrity_error(store, text):
    entry = publish(store, "k").entry
    (entry / "manifest.json").write_bytes(text)
    with pytest.raises(IntegrityError, match="manifest of k"):
        store.get("k")


@pytest.mark.parametrize(
    "change",
    [
        {"origin": {"sources": "abc"}}, {"origin": {"sources": [3]}}, {"origin": {"recipe": 3}},
        {"origin": {"sources": [{"files": [{"path": 3}]}]}}, {"check": {"metrics": {"a": "x"}}},
        {"check": {"status": 3}}, {"tools": {"a": 3}}, {"ref": "a" * 100_000}, {"schema": "1"},
        {"location": "../../etc"}, {"location": "data/../.."},
    ],
    ids=str,
)  # fmt: skip
def test_a_manifest_is_read_strictly(store, change):
    entry = publish(store, "k").entry
    data = json.loads((entry / "manifest.json").read_text())
    (entry / "manifest.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(IntegrityError, match="manifest of k"):
        store.read(entry)


def test_nothing_is_waited_for_or_followed(store, tmp_path):
    """FIFOs and links where a manifest, a file, an artifact or work should be."""
    entry = publish(store, "k").entry
    (entry / "manifest.json").rename(tmp_path / "kept")
    os.mkfifo(entry / "manifest.json")
    with pytest.raises(IntegrityError, match="not a plain file"):
        store.get("k")
    (entry / "manifest.json").unlink()
    (entry / "manifest.json").symlink_to(tmp_path / "kept")
    with pytest.raises(IntegrityError, match="link"):
        store.get("k")
    (entry / "manifest.json").unlink()
    (tmp_path / "kept").rename(entry / "manifest.json")
    (entry / "data" / "sub" / "a.txt").unlink()
    os.mkfifo(entry / "data" / "sub" / "a.txt")
    assert store.verify(entry) == ["sub/a.txt is not a file any more"]
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "a").write_text("a")
    for root in (store.failed, store.work, store.artifacts):
        root.mkdir(exist_ok=True)
        (root / "evil").symlink_to(precious)
        assert root / "evil" in [*store.leftovers(), *store.entries()]
        store.remove(root / "evil")
        assert not (root / "evil").is_symlink()
    assert (precious / "a").read_text() == "a"


def test_a_store_that_cannot_be_written_is_good_to_read(store, monkeypatch):
    publish(store, "k")

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "symlink", "unlink", "replace", "utime"):
        monkeypatch.setattr(os, name, refuse)
    with store.using("k"), store.lock("k"):
        assert (store.get("k").path / "sub" / "a.txt").read_text() == "hello"


def outside(store, folder):
    """An artifact whose files stay in a folder outside of the store."""
    files = describe_files(folder)
    with store.lock("k"), store.workdir("k") as workdir:
        manifest = Manifest("k", "m:v", "download", "b", "torch", now(), str(folder), {}, files)
        return store.publish(workdir, folder, manifest)


def test_only_the_files_of_the_manifest_are_in_view(store, tmp_path):
    folder = tmp_path / "snapshot"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "config.json").write_text("{}")
    artifact = outside(store, folder)
    assert store.view(artifact) == folder
    (folder / "adapter_config.json").write_text("{}")
    (folder / "planted").symlink_to("/etc")
    view = store.view(artifact)
    assert view != folder
    assert [p.relative_to(view).as_posix() for p in view.rglob("*") if not p.is_dir()] == [
        "sub/config.json"
    ]
    assert (view / "sub" / "config.json").read_text() == "{}"
    (view / "chat_template.jinja").write_text("planted in the view itself")
    assert sorted(p.name for p in store.view(artifact).iterdir()) == ["sub"]
    store.remove(artifact.entry)
    assert not view.exists()


def test_a_link_out_of_a_folder_is_not_taken_for_its_file(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "notes.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(IntegrityError, match=r"leads to .*secret"):
        describe_files(folder)
    (folder / "notes.txt").unlink()
    blob = tmp_path / digests.sha256(tmp_path / "secret")
    (tmp_path / "secret").rename(blob)
    (folder / "notes.txt").symlink_to(blob)
    assert [file.path for file in describe_files(folder)] == ["notes.txt"]
