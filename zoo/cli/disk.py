"""What the store takes on disk, and what is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from zoo.cli import entries
from zoo.files.room import existing
from zoo.store.store import Store

ORDER = ("download", "convert", "optimize", "build")


def usage(store: Store) -> dict[tuple[str, str], tuple[int, int]]:
    """Bytes inside and outside ZOO_HOME by reference and step; a shared file counts once."""
    seen: set[tuple[int, int]] = set()
    used: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in sorted(entries.everything(store), key=_order):
        here = _bytes(entry.folder.rglob("*"), seen)
        there = _bytes(_files(entry), seen)
        _add(used, _label(entry), here, there)
    for folder in sorted(store.work.glob("*")):
        _add(used, (folder.name.rpartition(".")[0], "work"), _bytes(folder.rglob("*"), seen), 0)
    return used


def free(folder: Path) -> int:
    """Bytes free where `folder` is or would be."""
    return shutil.disk_usage(existing(folder)).free


def _order(entry: entries.Entry) -> tuple[str, int]:
    ref, step = _label(entry)
    return ref, ORDER.index(step) if step in ORDER else len(ORDER)


def _label(entry: entries.Entry) -> tuple[str, str]:
    if entry.manifest is None:
        return entry.key, "corrupt"
    return entry.manifest.ref, "failed" if entry.failed else entry.manifest.step


def _files(entry: entries.Entry) -> Iterator[Path]:
    if entry.artifact:
        yield from (entry.artifact.path / f.path for f in entry.artifact.manifest.files)


def _bytes(paths: Iterator[Path], seen: set[tuple[int, int]]) -> int:
    """Bytes on disk of the files not `seen` yet, links followed."""
    total = 0
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        if path.is_file() and (stat.st_dev, stat.st_ino) not in seen:
            seen.add((stat.st_dev, stat.st_ino))
            total += stat.st_blocks * 512
    return total


def _add(
    used: dict[tuple[str, str], tuple[int, int]], label: tuple[str, str], here: int, there: int
) -> None:
    before = used.get(label, (0, 0))
    used[label] = before[0] + here, before[1] + there
