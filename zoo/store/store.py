"""Artifacts on this disk: published whole or not at all, and checked before use.

    ZOO_HOME/artifacts/<key>/manifest.json, data/    finished steps
    ZOO_HOME/failed/<key>/                           builds whose check failed, with the report
    ZOO_HOME/work/<key>.<random>/                    being written, or being removed
    ZOO_HOME/locks/<key>/                            who is at this key, see `zoo.files.locks`
    ZOO_HOME/views/<key>.<digest>/                   links to the files of an artifact, no others
    ZOO_HOME/reports/<key>/                          outputs of checks and costs, for people

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
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, InUse
from zoo.files import locks
from zoo.files.digests import unique
from zoo.files.safe_folder import SafeFolder
from zoo.files.trust import confined
from zoo.store.artifacts import (
    Artifact,
    Manifest,
    NewerManifest,
    Stored,
    describe_files,
    now,
    read_manifest,
)
from zoo.store.folders import delete, folders, sync_folder, sync_tree
from zoo.store.held import Held
from zoo.store.reports import Reports
from zoo.store.views import linked, strangers

__all__ = [
    "Artifact", "Manifest", "Store", "Stored", "describe_files", "key_of", "now",
]  # fmt: skip

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
LARGEST_MANIFEST = 1 << 26
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
"""A store that cannot be written: what is in it is good to read, and nobody can change it."""


def key_of(label: str, inputs: dict[str, Any]) -> str:
    """A key that people can read and that changes with any of the `inputs`."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:60]
    return f"{slug}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


class Store:
    """The artifacts (sources, conversions and builds) in a folder, such as `ZOO_HOME`.

    Args:
        home: the folder.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.artifacts, self.failed = home / "artifacts", home / "failed"
        self.work, self.locks, self.views = home / "work", home / "locks", home / "views"
        self._holds = Held()

    @contextmanager
    def lock(self, key: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock of a key, among all processes.

        Args:
            key: the key of an artifact.
            on_wait: called when another process holds the lock.
        """
        with ExitStack() as held:
            try:
                held.enter_context(
                    locks.holding(self.locks / key, lambda who: on_wait() if on_wait else None)
                )
            except OSError as error:
                if error.errno not in CLOSED:
                    raise
            else:
                held.enter_context(self._holds(key))
                self._sweep(key)
            yield

    @contextmanager
    def using(self, *keys: str) -> Iterator[None]:
        """Keep other processes from removing artifacts while the block runs."""
        with ExitStack() as marks:
            for key in dict.fromkeys(keys):
                marks.enter_context(self._mark(key))
            yield

    def users(self, key: str) -> list[str]:
        """Describe the running processes that use an artifact."""
        found = []
        for mark in (self.locks / key).glob("using.*"):
            if (who := locks.living(mark)) is not None:
                found.append(who)
            else:
                with suppress(OSError):
                    mark.unlink()
        return found

    @contextmanager
    def workdir(self, key: str) -> Iterator[Path]:
        """Create an empty folder to write in, which is removed unless it is published."""
        folder = self.work / f"{key}.{unique()}"
        try:
            (folder / "data").mkdir(parents=True)
            yield folder / "data"
        finally:
            with suppress(OSError):
                SafeFolder(self.work).remove(folder.name)

    def get(self, key: str) -> Artifact | None:
        """Return the artifact of a key, or `None`. Its files are as recorded.

        Files whose size and times are unchanged are trusted; others are hashed again.

        Raises:
            IntegrityError: a file is missing, or its content changed.
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
                f"repair it: zoo verify --repair {key}",
            )
        return self._refresh(artifact) if touched else artifact

    def read(self, entry: Path) -> Artifact | None:
        """Return the artifact in a folder of the store without verifying its files.

        Raises:
            IntegrityError: the manifest cannot be read, or places the files elsewhere.
        """
        try:
            text = SafeFolder(entry.parent).read(f"{entry.name}/{MANIFEST}", LARGEST_MANIFEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            manifest = read_manifest(text)
            return Artifact(_located(entry, manifest.location), manifest, entry)
        except NewerManifest as error:
            raise IntegrityError(
                f"{entry.name} was made by a newer zoo: {error}", "pip install --upgrade zoo-ml"
            ) from error
        except ValueError as error:
            raise IntegrityError(
                f"the manifest of {entry.name} cannot be read: {error}",
                f"remove it and run again: zoo rm {entry.name}",
            ) from error

    def view(self, artifact: Artifact) -> Path:
        """Return a folder with the files of an artifact and no others.

        This is the folder of the artifact, unless it contains other files, such as those that
        another program added to a snapshot of the Hub's cache. These were never hashed and must not
        change how the model runs, so the folder returned has links to the files of the artifact
        only.
        """
        if next(strangers(artifact), None) is None:
            return artifact.path
        try:
            return linked(self.views, artifact)
        except OSError as error:
            if error.errno not in CLOSED:
                raise
        return linked(Path(tempfile.mkdtemp(prefix="zoo-")), artifact)

    def publish(
        self, workdir: Path, path: Path, manifest: Manifest, failed: bool = False
    ) -> Artifact:
        """Move the result of a step into the store, atomically.

        Args:
            workdir: a folder from `workdir`.
            path: the folder of the result: `workdir` or one below it, or a folder elsewhere whose
                files stay where they are.
            manifest: what the artifact is and what it was made from.
            failed: whether to quarantine it, as a build that failed its check.
        """
        inside = path.resolve().is_relative_to(workdir.resolve())
        if inside:
            sync_tree(workdir)
        SafeFolder(self.work).replace(
            f"{workdir.parent.name}/{MANIFEST}", manifest.dump(), sync=True
        )
        entry = (self.failed if failed else self.artifacts) / manifest.key
        self._place(workdir.parent, entry)
        return self._refresh(Artifact((entry / manifest.location).resolve(), manifest, entry))

    def update(self, artifact: Artifact, **changes: Any) -> Artifact:
        """Change fields of the manifest of an artifact, in the store too if it is writable."""
        manifest = replace(artifact.manifest, **changes)
        entry = artifact.entry
        try:
            SafeFolder(entry.parent).replace(f"{entry.name}/{MANIFEST}", manifest.dump(), sync=True)
        except OSError as error:
            if error.errno not in CLOSED:
                raise
        return Artifact(artifact.path, manifest, entry)

    def set_aside(self, artifact: Artifact, **changes: Any) -> Artifact:
        """Quarantine an artifact whose check failed: `get` no longer finds it."""
        return self._moved(self.failed, artifact, changes)

    def restore(self, artifact: Artifact, **changes: Any) -> Artifact:
        """Move an artifact out of quarantine after its check passed."""
        return self._moved(self.artifacts, artifact, changes)

    def _moved(self, place: Path, artifact: Artifact, changes: dict[str, Any]) -> Artifact:
        artifact = self.update(artifact, **changes)
        entry = place / artifact.entry.name
        self._place(artifact.entry, entry)
        return Artifact((entry / artifact.manifest.location).resolve(), artifact.manifest, entry)

    def entries(self) -> list[Path]:
        """List the folders of all published artifacts, damaged ones included."""
        return folders(self.artifacts)

    def verify(self, entry: Path) -> list[str]:
        """List the faults of an artifact, by hashing all its files."""
        try:
            artifact = self.read(entry)
        except IntegrityError as error:
            return [error.message]
        if artifact is None:
            return [f"{entry.name} has no manifest"]
        faults = (f.fault(artifact.path, uncached=True) for f in artifact.manifest.files)
        found = [fault for fault in faults if fault]
        if artifact.path.is_relative_to(entry.resolve()):  # elsewhere others may keep some
            found += [f"{name} was put there by another program" for name in strangers(artifact)]
        return found

    def remove(self, entry: Path) -> int:
        """Delete a folder of the store.

        Returns: the number of bytes that this frees.

        Raises:
            InUse: another process uses the artifact.
        """
        key = entry.name.partition(".")[0]
        try:
            with self.lock(key):
                return self._remove(entry, key)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return delete(entry)  # A full disk has no room for a lock.

    def rejected(self) -> list[Path]:
        """List the folders of builds that failed their check."""
        return folders(self.failed)

    def withdraw(self, artifact: Artifact) -> None:
        """Remove an artifact that was just published, while its lock is held."""
        os.rename(artifact.entry, trash := self.work / f"{artifact.entry.name}.{unique()}")
        SafeFolder(self.work).remove(trash.name)

    def leftovers(self) -> list[Path]:
        """List the folders that can be removed: failed builds, and work of ended processes."""
        found = self.rejected()
        for folder in folders(self.work):
            if locks.holder(self.locks / folder.name.partition(".")[0]) is None:
                found.append(folder)
        return sorted(found)

    def _sweep(self, key: str) -> None:
        for leftover in self.work.glob(f"{key}.*"):
            SafeFolder(self.work).remove(leftover.name)

    @contextmanager
    def _mark(self, key: str) -> Iterator[None]:
        mark = self.locks / key / f"using.{unique()}"
        beating = None
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            if locks.sign(mark):
                beating = locks.beat(mark)
        except OSError as error:  # a store that cannot be written cannot lose anything either
            if error.errno not in (*CLOSED, errno.ENOSPC, errno.EDQUOT):
                raise
        try:
            yield
        finally:
            if beating is not None:
                beating.set()
                with suppress(OSError):
                    mark.unlink()

    def _remove(self, entry: Path, key: str) -> int:
        if not os.path.lexists(entry):
            return 0
        self._require_unused(key)
        if entry.parent == self.work:
            return delete(entry)
        self.work.mkdir(parents=True, exist_ok=True)
        trash = self.work / f"{key}.{unique()}"
        os.rename(entry, trash)
        try:
            self._require_unused(key)  # Whoever marked it since then may have seen it in its place.
        except InUse:
            os.rename(trash, entry)
            raise
        sync_folder(entry.parent)
        for view in self.views.glob(f"{key}.*"):
            SafeFolder(self.views).remove(view.name)
        Reports(self.home).remove(key)
        return delete(trash)

    def _require_unused(self, key: str) -> None:
        if users := self.users(key):
            raise InUse(f"{key} is in use by {users[0]}", "try again when that has finished")

    def _place(self, folder: Path, entry: Path) -> None:
        """Move a folder to its place; what was there goes to `work` first, and is deleted."""
        entry.parent.mkdir(parents=True, exist_ok=True)
        trash = self.work / f"{entry.name}.{unique()}"
        replaced = os.path.lexists(entry)
        if replaced:
            self.work.mkdir(parents=True, exist_ok=True)
            os.rename(entry, trash)
        try:
            os.rename(folder, entry)
        except OSError:
            if replaced:
                os.rename(trash, entry)
            raise
        sync_folder(entry.parent)
        with suppress(OSError):
            SafeFolder(self.work).remove(trash.name)

    def _refresh(self, artifact: Artifact) -> Artifact:
        """The artifact with its files recorded as they are now; in memory alone if need be.

        What another process recorded in the manifest meanwhile, such as a verdict, stays.
        """
        fresh = artifact.restat()
        if fresh.manifest.files == artifact.manifest.files:
            return artifact
        key = artifact.entry.name
        try:
            with ExitStack() as held:
                if key not in self._holds:
                    held.enter_context(locks.holding(self.locks / key, wait=False))
                now = self.read(artifact.entry)
                if now is not None and now.manifest.files == artifact.manifest.files:
                    return self.update(now, files=fresh.manifest.files)
        except (OSError, IntegrityError, locks.Taken):
            pass  # somebody else is at it, or it cannot be written: it is still good to read
        return fresh


def _located(entry: Path, location: str) -> Path:
    """Where the files of an artifact are: below its entry, or at an absolute path.

    Raises:
        ValueError: neither.
    """
    if os.path.isabs(location):
        return Path(location).resolve()
    path = (entry / location).resolve()
    if not confined(location) or not path.is_relative_to(entry.resolve()):
        raise ValueError(f"its location is {location!r}")
    return path
