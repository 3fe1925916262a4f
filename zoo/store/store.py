"""Artifacts on this disk: published whole or not at all, and checked before use.

    ZOO_HOME/artifacts/<key>/manifest.json, data/    finished steps
    ZOO_HOME/failed/<key>/                           builds whose check failed, with the report
    ZOO_HOME/work/<key>.<random>/                    being written, or being removed
    ZOO_HOME/locks/<key>/                            who is at this key, see `zoo.files.locks`

An artifact may live elsewhere (the Hub's cache, a user's folder): its manifest then says where,
and still records every file. A key is made from everything that went into the artifact.

Whatever appears or disappears does so by one rename: an artifact is built below `work` and moved
to its place, and is moved back there before it is deleted. A kill leaves folders in `work` at
most, which the next holder of the key sweeps away.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, InUse
from zoo.files import locks
from zoo.files.digests import unique
from zoo.files.trust import confined
from zoo.store.artifacts import Artifact, Manifest, Stored, describe_files, now, read_manifest

__all__ = [
    "Artifact", "Manifest", "Store", "Stored", "describe_files", "disk_usage", "key_of", "now",
]  # fmt: skip

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"


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
        with locks.holding(self.locks / key, lambda who: on_wait() if on_wait else None):
            self._sweep(key)
            yield

    @contextmanager
    def using(self, *keys: str) -> Iterator[None]:
        """Keep other processes from removing these artifacts while the block runs."""
        with ExitStack() as marks:
            for key in dict.fromkeys(keys):
                marks.enter_context(self._mark(key))
            yield

    def users(self, key: str) -> list[str]:
        """The marks of living processes that use `key`; those of dead ones are wiped."""
        found = []
        for mark in (self.locks / key).glob("using.*"):
            try:
                identity = locks.signer(mark)
            except FileNotFoundError:
                continue
            if locks.alive(identity) is False:
                mark.unlink(missing_ok=True)
            else:
                found.append(identity)
        return found

    @contextmanager
    def workdir(self, key: str) -> Iterator[Path]:
        """An empty folder to write in, gone afterwards unless it was published."""
        folder = self.work / f"{key}.{unique()}"
        try:
            (folder / "data").mkdir(parents=True)
            yield folder / "data"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def get(self, key: str) -> Artifact | None:
        """The artifact of `key`, if there is one and its files are as recorded.

        Files that `os.stat` says the same of as when they were published are trusted; others are
        hashed again.

        Raises:
            IntegrityError: a file is missing or holds other bytes than it did.
        """
        artifact = self.read(self.artifacts / key)
        if artifact is None:
            return None
        touched = [f for f in artifact.manifest.files if f.touched(artifact.path)]
        if faults := [fault for f in touched if (fault := f.fault(artifact.path))]:
            again = self.read(self.artifacts / key)
            if again is None or again.manifest.files != artifact.manifest.files:
                return self.get(key)  # Another process removed or replaced it meanwhile.
            raise IntegrityError(
                f"the stored {artifact.manifest.step} of '{artifact.manifest.ref}' is corrupt: "
                + "; ".join(faults),
                f"mend it: zoo verify --repair {key}",
            )
        return self._refresh(artifact) if touched else artifact

    def read(self, entry: Path) -> Artifact | None:
        """The artifact in a folder of the store, whether or not its files are sound."""
        try:
            manifest = read_manifest((entry / MANIFEST).read_bytes())
            if not confined(manifest.location) and not os.path.isabs(manifest.location):
                raise ValueError(f"its location is {manifest.location!r}")
            return Artifact((entry / manifest.location).resolve(), manifest, entry)
        except FileNotFoundError:
            return None
        except ValueError as error:
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
        _write_synced(workdir.parent / MANIFEST, manifest.dump())
        entry = (self.failed if failed else self.artifacts) / manifest.key
        self._place(workdir.parent, entry)
        return self._refresh(Artifact((entry / manifest.location).resolve(), manifest, entry))

    def update(self, artifact: Artifact, **changes: Any) -> Artifact:
        """The artifact with some fields of its manifest changed, on disk too."""
        manifest = replace(artifact.manifest, **changes)
        draft = artifact.entry / f".{unique()}"
        try:
            _write_synced(draft, manifest.dump())
            os.replace(draft, artifact.entry / MANIFEST)
        finally:
            draft.unlink(missing_ok=True)
        return Artifact(artifact.path, manifest, artifact.entry)

    def set_aside(self, artifact: Artifact, **changes: Any) -> Artifact:
        """Move an artifact whose check failed out of reach of `get`."""
        artifact = self.update(artifact, **changes)
        entry = self.failed / artifact.entry.name
        self._place(artifact.entry, entry)
        return Artifact((entry / artifact.manifest.location).resolve(), artifact.manifest, entry)

    def entries(self) -> list[Path]:
        """The folders of all published artifacts, sound or not."""
        return sorted(p for p in self.artifacts.glob("*") if p.is_dir())

    def verify(self, entry: Path) -> list[str]:
        """The faults of an artifact, found by reading every byte."""
        try:
            artifact = self.read(entry)
        except IntegrityError as error:
            return [error.message]
        if artifact is None:
            return [f"{entry.name} has no manifest"]
        faults = (f.fault(artifact.path, anew=True) for f in artifact.manifest.files)
        return [fault for fault in faults if fault] + _strangers(artifact)

    def remove(self, entry: Path) -> int:
        """Delete one folder of the store; the bytes that this frees.

        Raises:
            InUse: a process is reading it.
        """
        key = entry.name.partition(".")[0]
        try:
            with self.lock(key):
                return self._remove(entry, key)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return _delete(entry)  # A full disk has no room for a lock.

    def leftovers(self) -> list[Path]:
        """Folders that nothing needs: failed builds, and work that nobody is at."""
        found = [p for p in self.failed.glob("*") if p.is_dir()]
        for folder in self.work.glob("*"):
            if locks.holder(self.locks / folder.name.partition(".")[0]) is None:
                found.append(folder)
        return sorted(found)

    def _sweep(self, key: str) -> None:
        for leftover in self.work.glob(f"{key}.*"):
            shutil.rmtree(leftover)

    @contextmanager
    def _mark(self, key: str) -> Iterator[None]:
        mark = self.locks / key / f"using.{unique()}"
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            locks.sign(mark)
        except OSError as error:  # a store that cannot be written cannot lose anything either
            if error.errno not in (errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT):
                raise
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def _remove(self, entry: Path, key: str) -> int:
        if not entry.exists():
            return 0
        self._require_unused(key)
        if entry.parent == self.work:
            return _delete(entry)
        self.work.mkdir(parents=True, exist_ok=True)
        trash = self.work / f"{key}.{unique()}"
        os.rename(entry, trash)
        try:
            self._require_unused(key)  # Whoever marked it since then may have seen it in its place.
        except InUse:
            os.rename(trash, entry)
            raise
        _sync_folder(entry.parent)
        return _delete(trash)

    def _require_unused(self, key: str) -> None:
        if users := self.users(key):
            _, pid, _, host = [*users[0].split(":", 3), "?", "?", "?"][:4]
            raise InUse(
                f"{key} is in use by process {pid} on {host}", "try again when that has finished"
            )

    def _place(self, folder: Path, entry: Path) -> None:
        """Move a folder to its place; what was there goes to `work` first, and is deleted."""
        entry.parent.mkdir(parents=True, exist_ok=True)
        trash = self.work / f"{entry.name}.{unique()}"
        if entry.exists():
            self.work.mkdir(parents=True, exist_ok=True)
            os.rename(entry, trash)
        os.rename(folder, entry)
        _sync_folder(entry.parent)
        shutil.rmtree(trash, ignore_errors=True)

    def _refresh(self, artifact: Artifact) -> Artifact:
        """The artifact with its files recorded as they are now; in memory alone if need be."""
        fresh = artifact.restat()
        if fresh.manifest.files == artifact.manifest.files:
            return artifact
        try:
            return self.update(fresh)
        except OSError:  # a store that cannot be written is still good to read
            return fresh


def _strangers(artifact: Artifact) -> list[str]:
    """Files in the folder of an artifact that it does not list; elsewhere others may keep some."""
    if not artifact.path.is_relative_to(artifact.entry.resolve()):
        return []
    listed = {file.path for file in artifact.manifest.files}
    there = (p for p in artifact.path.rglob("*") if p.is_symlink() or p.is_file())
    names = sorted(p.relative_to(artifact.path).as_posix() for p in there)
    return [f"{name} was put there by somebody else" for name in names if name not in listed]


def disk_usage(folders: Iterable[Path]) -> int:
    """Bytes below `folders`, counting what several share once."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(FileNotFoundError):  # another process may be removing it
                stat = path.lstat()
                seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(seen.values())


def _delete(folder: Path) -> int:
    freed = disk_usage([folder])
    shutil.rmtree(folder)
    return freed


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
