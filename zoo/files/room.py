"""Room on a disk, asked for before the first byte is written."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import NoRoom
from zoo.words import human

HINT = "free some space with zoo prune, or set ZOO_HOME or HF_HOME to a folder on another disk"


def existing(folder: Path) -> Path:
    """The nearest folder that is there already."""
    while not folder.exists():
        folder = folder.parent
    return folder


def same_disk(one: Path, other: Path) -> bool:
    """Whether what is written to either folder takes the room of the same disk."""
    return existing(one).stat().st_dev == existing(other).stat().st_dev


def full(error: BaseException) -> NoRoom | None:
    """What to say when a write failed because the disk is full; `None` of any other failure."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    where = f" at {error.filename}" if error.filename else ""
    return NoRoom(f"the disk is full{where}", HINT)


@contextmanager
def told() -> Iterator[None]:
    """Turn a write that failed on a full disk into `NoRoom`."""
    try:
        yield
    except OSError as error:
        if (said := full(error)) is not None:
            raise said from error
        raise


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
    free = shutil.disk_usage(existing(folder)).free
    total = sum(needs.values())
    if total <= free:
        return
    parts = " + ".join(f"{name} {human(count)}" for name, count in needs.items() if count)
    detail = f" ({parts})" if len([count for count in needs.values() if count]) > 1 else ""
    raise NoRoom(
        f"{what} needs {human(total)} more on disk{detail}, and {folder} has {human(free)} free",
        hint,
    )
