"""Artifacts on this disk: published whole or not at all, and checked before use.

    ZOO_HOME/artifacts/<key>/manifest.json, data/    finished steps
    ZOO_HOME/failed/<key>/                           builds whose check failed, with the report
    ZOO_HOME/work/<key>.<random>/                    being written by whoever holds the lock
    ZOO_HOME/locks/<key>.lock

An artifact may live elsewhere (the Hub's cache, a user's folder): its manifest then says where,
and still records every file. A key is made from everything that went into the artifact.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoo.digests import sha256
from zoo.errors import IntegrityError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Stored:
    """One file of an artifact, as it was when published."""

    path: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an artifact is and what it was made from."""

    key: str
    ref: str
    step: str
    build: str
    format: str
    created: str
    location: str
    inputs: dict[str, Any]
    files: tuple[Stored, ...]
    tools: dict[str, str | None] = field(default_factory=dict)
    check: dict[str, Any] | None = None
    schema: int = 1

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)


@dataclass(frozen=True)
class Artifact:
    """A published artifact: `path` holds its files."""

    path: Path
    manifest: Manifest
    entry: Path


def key_of(label: str, inputs: dict[str, Any]) -> str:
    """A key that people can read and that changes with any of the `inputs`."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60]
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Store:
    """The artifacts below one folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.artifacts, self.failed = home / "artifacts", home / "failed"
        self.work, self.locks = home / "work", home / "locks"

    @contextmanager
    def lock(self, key: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold `key` alone, among all processes; `on_wait` is called when another has it."""
        from filelock import FileLock, Timeout

        self.locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.locks / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait:
                on_wait()
            lock.acquire()
        try:
            for leftover in self.work.glob(f"{key}.*"):
                shutil.rmtree(leftover)
            yield
        finally:
            lock.release()

    @contextmanager
    def workdir(self, key: str) -> Iterator[Path]:
        """An empty folder to write in, gone afterwards unless it was published."""
        self.work.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=self.work))
        try:
            (folder / "data").mkdir()
            yield folder / "data"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def get(self, key: str) -> Artifact | None:
        """The artifact of `key`, if there is one and its files are as recorded.

        Files whose size and time are as recorded are trusted; others are hashed again.

        Raises:
            IntegrityError: a file is missing or holds other bytes than it did.
        """
        artifact = self.read(self.artifacts / key)
        if artifact is None:
            return None
        touched = [f for f in artifact.manifest.files if _stat(artifact.path / f.path) != _of(f)]
        if faults := [fault for f in touched if (fault := _fault(artifact.path, f))]:
            raise IntegrityError(
                f"the stored {artifact.manifest.step} of '{artifact.manifest.ref}' is corrupt: "
                + "; ".join(faults),
                f"remove it and run again: zoo rm {key}",
            )
        if touched:
            files = tuple(_restat(artifact.path, f) for f in artifact.manifest.files)
            return self.update(artifact, files=files)
        return artifact

    def read(self, entry: Path) -> Artifact | None:
        """The artifact in a folder of the store, whether or not its files are sound."""
        try:
            data = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
            files = tuple(Stored(**f) for f in data.pop("files"))
            manifest = Manifest(files=files, **data)
            return Artifact((entry / manifest.location).resolve(), manifest, entry)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(
                f"the manifest of {entry.name} cannot be read: {error}",
                f"remove it and run again: zoo rm {entry.name}",
            ) from error

    def publish(
        self, workdir: Path, path: Path, manifest: Manifest, failed: bool = False
    ) -> Artifact:
        """Put the result of a step in its place, all at once.

        `path` is the folder of the result: below `workdir`, or elsewhere for files that stay
        where they are.
        """
        inside = path.resolve().is_relative_to(workdir.resolve())
        if inside:
            _sync_tree(workdir)
        _write_synced(workdir.parent / MANIFEST, _dump(manifest))
        parent = self.failed if failed else self.artifacts
        parent.mkdir(parents=True, exist_ok=True)
        entry = parent / manifest.key
        if entry.exists():
            shutil.rmtree(entry)
        os.rename(workdir.parent, entry)
        _sync_folder(parent)
        return Artifact((entry / manifest.location).resolve(), manifest, entry)

    def update(self, artifact: Artifact, **changes: Any) -> Artifact:
        """The artifact with some fields of its manifest changed, on disk too."""
        manifest = Manifest(**{**vars(artifact.manifest), **changes})
        temporary = artifact.entry / f"{MANIFEST}.new"
        _write_synced(temporary, _dump(manifest))
        os.replace(temporary, artifact.entry / MANIFEST)
        return Artifact(artifact.path, manifest, artifact.entry)

    def set_aside(self, artifact: Artifact, **changes: Any) -> Artifact:
        """Move an artifact whose check failed out of reach of `get`."""
        artifact = self.update(artifact, **changes)
        self.failed.mkdir(parents=True, exist_ok=True)
        entry = self.failed / artifact.entry.name
        if entry.exists():
            shutil.rmtree(entry)
        os.rename(artifact.entry, entry)
        return Artifact((entry / artifact.manifest.location).resolve(), artifact.manifest, entry)

    def entries(self) -> list[Path]:
        """The folders of all published artifacts, sound or not."""
        return sorted(p for p in self.artifacts.glob("*") if p.is_dir())

    def verify(self, entry: Path) -> list[str]:
        """The faults of an artifact, found by hashing every file."""
        try:
            artifact = self.read(entry)
        except IntegrityError as error:
            return [error.message]
        if artifact is None:
            return [f"{entry.name} has no manifest"]
        return [fault for f in artifact.manifest.files if (fault := _fault(artifact.path, f))]

    def remove(self, entry: Path) -> int:
        """Delete one folder of the store; the bytes that this frees."""
        with self.lock(entry.name):
            freed = disk_usage([entry])
            shutil.rmtree(entry)
            return freed

    def leftovers(self) -> list[Path]:
        """Folders that nothing needs: failed builds, and work that nobody is at."""
        from filelock import FileLock, Timeout

        found = [p for p in self.failed.glob("*") if p.is_dir()]
        for folder in self.work.glob("*"):
            key = folder.name.rpartition(".")[0]
            try:
                with FileLock(self.locks / f"{key}.lock", timeout=0):
                    found.append(folder)
            except Timeout:
                continue
        return sorted(found)


def describe_files(folder: Path, patterns: Iterable[str] = ("**/*",)) -> tuple[Stored, ...]:
    """The files of `folder` that match one of the patterns, hashed."""
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    found = []
    for path in sorted(paths):
        stat = path.stat()
        name = path.relative_to(folder).as_posix()
        found.append(Stored(name, stat.st_size, stat.st_mtime_ns, sha256(path)))
    return tuple(found)


def disk_usage(folders: list[Path]) -> int:
    """Bytes below `folders`, counting what several share once."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            stat = path.lstat()
            seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(seen.values())


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _of(file: Stored) -> tuple[int, int]:
    return file.size, file.mtime_ns


def _restat(folder: Path, file: Stored) -> Stored:
    stat = (folder / file.path).stat()
    return Stored(file.path, stat.st_size, stat.st_mtime_ns, file.sha256)


def _fault(folder: Path, file: Stored) -> str | None:
    path = folder / file.path
    found = _stat(path)
    if found is None:
        return f"{file.path} is missing"
    if found[0] != file.size:
        return f"{file.path} has {found[0]} bytes, not {file.size}"
    return f"{file.path} has other bytes than recorded" if sha256(path) != file.sha256 else None


def _dump(manifest: Manifest) -> bytes:
    return json.dumps(asdict(manifest), indent=1).encode()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
