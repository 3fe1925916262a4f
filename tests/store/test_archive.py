"""Export and import: nothing lost on the way, and nothing taken that is not listed."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from faults.world import WEIGHTS, World
from worlds.hub_world import safetensors

from zoo.catalogs.pins import Lock
from zoo.errors import IntegrityError, NotFound, UsageError, ZooError
from zoo.files import tar
from zoo.progress import Progress
from zoo.store import archive
from zoo.store.artifacts import Manifest
from zoo.store.export import export as write_export
from zoo.store.store import Store, describe_files

FILES = {
    "config.json": b"{}",
    "sub/weights.bin.safetensors": safetensors({"w": bytes(range(256)) * 5000}),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "home")
    publish(made, "user-tiny-one-plain-0123456789abcdef", FILES)
    return made


def publish(store: Store, key: str, files: dict[str, bytes]) -> None:
    with store.lock(key), store.workdir(key) as workdir:
        for name, data in files.items():
            (workdir / name).parent.mkdir(exist_ok=True)
            (workdir / name).write_bytes(data)
        manifest = Manifest(
            key, "user/tiny:one", "build", "plain", "plain", "2026-01-01T00:00:00Z", "data", {},
            describe_files(workdir),
        )  # fmt: skip
        store.publish(workdir, workdir, manifest)


def export(store: Store, dest: Path) -> Path:
    artifacts = [store.read(entry) for entry in store.entries()]
    write_export(artifacts, Lock(store.home / "zoo.lock"), dest, Progress("export"))
    return dest


def bring(source: Path, home: Path) -> Store:
    store = Store(home)
    archive.bring(source, store, Lock(home / "zoo.lock"), Progress("import"))
    return store


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_what_goes_out_comes_in(store: Store, tmp_path: Path, name: str) -> None:
    dest = export(store, tmp_path / name)
    other = bring(dest, tmp_path / "other")
    artifact = other.get(store.entries()[0].name)
    assert artifact is not None
    for path, data in FILES.items():
        assert (artifact.path / path).read_bytes() == data
    assert other.verify(artifact.entry) == []
    with pytest.raises(UsageError, match="exists already"):
        export(store, dest)


def test_other_tools_read_the_archive(store: Store, tmp_path: Path) -> None:
    dest = export(store, tmp_path / "out.tar")
    with tarfile.open(dest) as opened:
        names = opened.getnames()
        assert names[0] == archive.INDEX
        opened.extractall(tmp_path / "unpacked", filter="data")
    assert bring(tmp_path / "unpacked", tmp_path / "other").entries()


def test_sizes_over_8_gib_are_written_as_tar_reads_them() -> None:
    info = tarfile.TarInfo.frombuf(tar.header("a" * 90 + "/" + "b" * 90, 2**34 + 5), "utf-8", "")
    assert (info.name, info.size) == ("a" * 90 + "/" + "b" * 90, 2**34 + 5)


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_what_rotted_does_not_go_out(store: Store, tmp_path: Path, name: str) -> None:
    (store.entries()[0] / "data" / "config.json").write_text("[]")
    with pytest.raises(IntegrityError, match=r"config\.json has other bytes"):
        export(store, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home"]


def test_an_archive_cut_anywhere_brings_nothing(store: Store, tmp_path: Path) -> None:
    data = export(store, tmp_path / "out.tar").read_bytes()
    for number, at in enumerate(range(0, len(data) - 1024, len(data) // 40)):
        (tmp_path / "cut.tar").write_bytes(data[:at])
        other = Store(tmp_path / f"other{number}")
        with pytest.raises(IntegrityError):
            bring(tmp_path / "cut.tar", other.home)
        assert other.entries() == []
        assert other.leftovers() == []


def test_an_archive_with_a_byte_flipped_brings_nothing_wrong(store: Store, tmp_path: Path) -> None:
    data = export(store, tmp_path / "out.tar").read_bytes()
    key = store.entries()[0].name
    for number, at in enumerate(range(3, len(data), len(data) // 60)):
        spoilt = bytearray(data)
        spoilt[at] ^= 0x01
        (tmp_path / "spoilt.tar").write_bytes(spoilt)
        home = tmp_path / f"other{number}"
        try:
            artifact = bring(tmp_path / "spoilt.tar", home).get(key)
        except ZooError:
            assert Store(home).entries() == []
            continue
        assert artifact is not None  # the flip was in a note or in padding
        assert (artifact.path / "config.json").read_bytes() == FILES["config.json"]


def hostile(dest: Path, index: bytes, *entries: tarfile.TarInfo) -> Path:
    """An archive whose first file is `index`, with other entries after it."""
    with tarfile.open(dest, "w", format=tarfile.USTAR_FORMAT) as opened:
        info = tarfile.TarInfo(archive.INDEX)
        info.size = len(index)
        opened.addfile(info, io.BytesIO(index))
        for entry in entries:
            opened.addfile(entry, io.BytesIO(bytes(entry.size)))
    return dest


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry("../escape"), "not a plain path"),
        (entry("/etc/passwd"), "not a plain path"),
        (entry("a/../../escape"), "not a plain path"),
        (entry("k\\escape"), "not a plain path"),
        (entry("link", tarfile.SYMTYPE, link="/etc/passwd"), "special entry"),
        (entry("link", tarfile.LNKTYPE, link="../escape"), "special entry"),
        (entry("pipe", tarfile.FIFOTYPE), "special entry"),
        (entry("device", tarfile.CHRTYPE), "special entry"),
        (entry("folder", tarfile.DIRTYPE), "special entry"),
        (entry("sparse", tarfile.GNUTYPE_SPARSE), "special entry"),
        (entry("pax", tarfile.XHDTYPE, 512), "special entry"),
        (entry("unlisted", size=5), "does not list"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_entries_that_archives_attack_with(
    store: Store, tmp_path: Path, bad: tarfile.TarInfo, said: str
) -> None:
    index = (export(store, tmp_path / "out") / archive.INDEX).read_bytes()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(IntegrityError, match=said):
        bring(hostile(tmp_path / "bad.tar", index, bad), tmp_path / "other")
    assert Store(tmp_path / "other").entries() == []
    outside = [p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "other")]
    assert sorted(outside) == sorted([*before, tmp_path / "bad.tar"])


@pytest.mark.parametrize("change", [
    {"key": "../escape"}, {"key": "a/b"}, {"key": ""}, {"key": "A"}, {"key": 3},
    {"files": [{"path": "../x", "size": 1, "mtime_ns": 1, "sha256": "0" * 64}]},
    {"files": [{"path": "/x", "size": 1, "mtime_ns": 1, "sha256": "0" * 64}]},
    {"files": [{"path": "x", "size": -1, "mtime_ns": 1, "sha256": "0" * 64}]},
    {"files": [{"path": "x", "size": 1, "mtime_ns": 1, "sha256": "../../x"}]},
    {"files": [{"path": p, "size": 1, "mtime_ns": 1, "sha256": "0" * 64} for p in ("x", "X")]},
    {"files": [{"path": p, "size": 1, "mtime_ns": 1, "sha256": "0" * 64} for p in ("x", "x/y")]},
    {"files": "none"}, {"inputs": []}, {"check": "passed"}, {"unknown": 1},
    {"step": "download",
     "files": [{"path": "x.pkl", "size": 1, "mtime_ns": 1, "sha256": "0" * 64}]},
], ids=str)  # fmt: skip
def test_a_manifest_from_outside_is_read_strictly(
    store: Store, tmp_path: Path, change: dict[str, object]
) -> None:
    folder = export(store, tmp_path / "out")
    index = json.loads((folder / archive.INDEX).read_text())
    index["artifacts"][0].update(change)
    (folder / archive.INDEX).write_text(json.dumps(index))
    with pytest.raises(IntegrityError):
        bring(folder, tmp_path / "other")
    assert Store(tmp_path / "other").entries() == []


def test_a_link_in_a_folder_is_not_followed(store: Store, tmp_path: Path) -> None:
    folder = export(store, tmp_path / "out")
    target = next(folder.rglob("config.json"))
    target.unlink()
    (tmp_path / "secret").write_bytes(FILES["config.json"])
    target.symlink_to(tmp_path / "secret")
    with pytest.raises(IntegrityError, match="through, a link"):
        bring(folder, tmp_path / "other")


COMMITS = ("1" * 40, "2" * 40)


def pinned(folder: Path, commit: str, pins: dict[str, dict]) -> Path:
    """An export whose artifact is made from a repository at `commit`, and that pins `pins`."""
    index = json.loads((folder / archive.INDEX).read_text())
    source = {"repo": "owner/x", "commit": commit, "files": [{"path": "a", "sha256": "a" * 64}]}
    index["artifacts"][0]["origin"] = {"sources": [source]}
    index["lock"] = pins
    (folder / archive.INDEX).write_text(json.dumps(index))
    return folder


def test_an_imported_lock_cannot_contradict_ours(store: Store, tmp_path: Path) -> None:
    folder = export(store, tmp_path / "out")
    for commit in COMMITS:
        pinned(folder, commit, {"owner/x@main": {"commit": commit, "files": []}})
        if commit == COMMITS[0]:
            bring(folder, tmp_path / "other")
        else:
            with pytest.raises(IntegrityError, match="another commit of 'owner/x@main'"):
                bring(folder, tmp_path / "other")


@pytest.mark.parametrize(
    "pins",
    [
        {"mistralai/Mistral@main": {"commit": COMMITS[0], "files": []}},
        {"owner/x@main": {"commit": COMMITS[1], "files": []}},
        {
            "owner/x@main": {
                "commit": COMMITS[0],
                "files": [{"path": "a", "size": 1, "sha256": "b" * 64}],
            }
        },
        {"owner/x@main": 3},
        "nonsense",
    ],
)
def test_an_import_pins_only_what_it_is_made_from(store: Store, tmp_path: Path, pins: dict) -> None:
    folder = pinned(export(store, tmp_path / "out"), COMMITS[0], pins)
    with pytest.raises(IntegrityError):
        bring(folder, tmp_path / "other")
    assert not (tmp_path / "other" / "zoo.lock").exists()
    assert Store(tmp_path / "other").entries() == []


def test_an_import_replaces_nothing_that_is_sound(store: Store, tmp_path: Path) -> None:
    dest = export(store, tmp_path / "out.tar")
    other = Store(tmp_path / "other")
    key = store.entries()[0].name
    publish(other, key, {"config.json": b'{"mine": 1}'})
    with pytest.raises(IntegrityError, match=f"'{key}' is here already"):
        bring(dest, tmp_path / "other")
    assert (other.get(key).path / "config.json").read_bytes() == b'{"mine": 1}'
    other.remove(other.artifacts / key)
    bring(dest, tmp_path / "other")
    before = (other.artifacts / key).stat().st_ino
    bring(dest, tmp_path / "other")
    assert (other.artifacts / key).stat().st_ino == before
    (other.get(key).path / "config.json").write_bytes(b"[]")
    bring(dest, tmp_path / "other")
    assert (other.get(key).path / "config.json").read_bytes() == FILES["config.json"]


def test_what_a_native_reader_must_not_see_is_refused(store: Store, tmp_path: Path) -> None:
    lies = safetensors({"w": b"12345678"}).replace(b"[0, 8]", b"[0, 9]")
    publish(store, "user-lies-one-plain-0123456789abcdef", {"m.safetensors": lies})
    with pytest.raises(IntegrityError, match="not a valid safetensors"):
        bring(export(store, tmp_path / "out.tar"), tmp_path / "other")
    assert Store(tmp_path / "other").entries() == []


def test_an_import_that_fails_half_way_brings_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, "user-tiny-two-plain-0123456789abcdef", FILES)
    dest = export(store, tmp_path / "out.tar")
    placed: list[Path] = []
    real = Store.publish

    def publish_one(self: Store, *args: object) -> object:
        if placed:
            raise OSError(5, "Input/output error", "artifacts")
        placed.append(Path())
        return real(self, *args)

    monkeypatch.setattr(Store, "publish", publish_one)
    with pytest.raises(ZooError, match="input/output error"):
        bring(dest, tmp_path / "other")
    assert Store(tmp_path / "other").entries() == []
    assert not (tmp_path / "other" / "zoo.lock").exists()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("m.tar.gz", UsageError), ("m.tgz", UsageError), ("m.zip", UsageError),
        ("no/such/m.tar", NotFound), ("a" * 300 + ".tar", UsageError), ("out", UsageError),
    ],
)  # fmt: skip
def test_places_that_cannot_be_exported_to(
    store: Store, tmp_path: Path, name: str, error: type[ZooError]
) -> None:
    (tmp_path / "out").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error):
        export(store, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_a_model_crosses_an_air_gap(tmp_path: Path, sandbox) -> None:
    world = World(tmp_path / "world", 100_000)
    sandbox.env = world.env
    try:
        built = sandbox.zoo("build", "large", "--build", "plain-loud", "-q")
        assert built.returncode == 0, built.stderr
        dest = tmp_path / "gap.tar"
        assert sandbox.zoo("export", "large", "--to", str(dest)).returncode == 0
    finally:
        world.close()
    shutil.rmtree(world.home)
    shutil.rmtree(world.hf)
    sandbox.env = {**world.env, "HF_HUB_OFFLINE": "1"}
    missing = sandbox.zoo("pull", "large", "-q")
    assert missing.returncode == 7
    assert "zoo import" in missing.stderr
    brought = sandbox.zoo("import", str(dest), "--json")
    assert brought.returncode == 0, brought.stderr
    assert {a["step"] for a in json.loads(brought.stdout)["artifacts"]} >= {"download", "build"}
    pulled = sandbox.zoo("pull", "large", "-q")
    assert pulled.returncode == 0, pulled.stderr
    assert (Path(pulled.stdout.strip()) / WEIGHTS).read_bytes() == world.content[WEIGHTS]
    said = sandbox.python("import zoo; print(zoo.load('large', build='plain-loud')('x'))")
    assert said.stdout == "<1:x>!!\n", said.stderr
    assert sandbox.zoo("verify").returncode == 0
