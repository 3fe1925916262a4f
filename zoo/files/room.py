"""Room on a disk, asked for before the first byte is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import NoRoom
from zoo.files import system
from zoo.words import human


def existing(folder: Path) -> Path:
    """The nearest folder that is there already."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def same_disk(one: Path, other: Path) -> bool:
    """Whether what is written to either folder takes the room of the same disk."""
    return existing(one).stat().st_dev == existing(other).stat().st_dev


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the operating system refuses into a sentence: a full disk, a failing one."""
    try:
        yield
    except OSError as error:
        raise system.explain(error) from error


def require(folder: Path, needs: Mapping[str, int], what: str, hint: str) -> None:
    """Refuse to begin what the disk of `folder` cannot hold.

    Args:
        folder: where the bytes will go; it need not exist yet.
        needs: what will take room, each with its bytes.
        what: whose bytes these are.
        hint: what to do.

    Raises:
        NoRoom: with what is needed for what, and what is free.
    """
    try:
        free = shutil.disk_usage(existing(folder)).free
    except OSError as error:
        raise system.explain(error) from error
    total = sum(needs.values())
    if total <= free:
        return
    parts = " + ".join(f"{name} {human(count)}" for name, count in needs.items() if count)
    detail = f" ({parts})" if len([count for count in needs.values() if count]) > 1 else ""
    raise NoRoom(
        f"{what} needs {human(total)} more on disk{detail}, and {folder} has {human(free)} free",
        hint,
    )
