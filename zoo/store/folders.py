"""Whole folders of the store: their size, their removal, and their way to the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from zoo.files.safe_folder import SafeFolder, open_regular


def folders(root: Path) -> list[Path]:
    """What is directly below a folder of the store; links are listed, so that they can go."""
    return sorted(p for p in root.glob("*") if p.is_dir() or p.is_symlink())


def disk_usage(folders: Iterable[Path]) -> int:
    """Bytes below `folders`, counting what several share once."""
    seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):  # another process may be removing it
                stat = path.lstat()
                seen[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(seen.values())


def delete(folder: Path) -> int:
    freed = disk_usage([folder])
    SafeFolder(folder.parent).remove(folder.name)
    return freed


def sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        if path.is_file():
            with open_regular(path) as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
