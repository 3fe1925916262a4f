"""Repair corrupted artifacts: fetch what came from the Hub, remove what can be made again."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from zoo.catalogs.names import REPO
from zoo.catalogs.source import File, Source
from zoo.errors import IntegrityError, ZooError
from zoo.files.digests import blocks, unique
from zoo.files.safe_folder import SafeFolder, write_all
from zoo.hub.cache import COMMIT
from zoo.hub.repository import Repository
from zoo.progress import Progress
from zoo.store.artifacts import Artifact
from zoo.store.store import Store


def repair(store: Store, entry: Path, progress: Progress) -> str:
    """Repair the artifact in one folder of the store; what was done, in a few words.

    Files of a download are fetched again from the commit that they came from, the bad ones alone.
    A build is removed: the next run makes it again from its source.

    Raises:
        ZooError: what stood in the way; nothing was removed.
    """
    artifact = _readable(store, entry)
    if artifact is None or artifact.manifest.step != "download":
        freed = store.remove(entry)
        return f"removed ({freed} bytes); the next run makes it again"
    with store.lock(entry.name):
        bad = [f for f in artifact.manifest.files if f.fault(artifact.path, uncached=True)]
        for source in artifact.manifest.origin.get("sources", ()):
            paths = {file["path"] for file in source["files"]}
            _mend(artifact, source, [f.path for f in bad if f.path in paths], progress)
        if left := store.verify(entry):
            raise IntegrityError(
                f"{entry.name} cannot be repaired: {'; '.join(left)}",
                f"remove it, and pull it again: zoo rm {entry.name}",
            )
        store.update(artifact, files=artifact.restat().manifest.files)
    names = ", ".join(file.path for file in bad)
    return f"fetched {names} again" if bad else "nothing was wrong"


def _readable(store: Store, entry: Path) -> Artifact | None:
    try:
        return store.read(entry)
    except ZooError:
        return None


def _mend(artifact: Artifact, source: dict[str, Any], bad: list[str], progress: Progress) -> None:
    """Bring the bad files of one source, into the cache and from there into the artifact."""
    repo, commit = str(source.get("repo")), str(source.get("commit"))
    if not bad or not re.fullmatch(REPO, repo) or not COMMIT.fullmatch(commit):
        return
    known = {file.path: file for file in artifact.manifest.files}
    files = tuple(File(path, known[path].size, known[path].sha256) for path in bad)
    wanted = Source(repo=repo, revision=commit, files=files)
    folder = Repository(wanted, progress).pull()
    for path in bad:
        target = artifact.path / path
        if target.exists() and target.samefile(folder / path):
            continue
        own, draft = SafeFolder(artifact.path), f"{path}.{unique()}"
        try:
            with own.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                for block in blocks(folder / path):
                    write_all(file, block)
            own.move(draft, path)
        finally:
            own.remove(draft)
