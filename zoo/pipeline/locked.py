"""What `zoo.lock` records of the sources that were fetched, and holds them to."""

from __future__ import annotations

from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import Recipe
from zoo.errors import IntegrityError
from zoo.store import origin
from zoo.store.store import Artifact


def record(recipe: Recipe, fetched: Artifact, lock: Lock) -> None:
    """Write what was downloaded into `zoo.lock`, each file with the source it comes from."""
    for source, commit, files in origin.fetched_files(recipe, fetched):
        if source.repo or source.url:
            lock.record(source, commit, files)


def require_locked(pinned: Recipe, fetched: Artifact, lock: Lock) -> None:
    """Refuse a stored source that differs from what `zoo.lock` records.

    Raises:
        IntegrityError: a file has another hash.
    """
    for source, _, files in origin.fetched_files(pinned, fetched):
        recorded = {file.path: file.sha256 for file in source.files}
        for file in files:
            if recorded.get(file.path) not in (None, file.sha256):
                raise IntegrityError(
                    f"'{pinned.ref}' is not what {lock.path} records: '{file.path}' has the sha256 "
                    f"{file.sha256}, expected {recorded[file.path]}",
                    f"remove it and pull again: zoo rm {fetched.manifest.key}",
                )
