"""What a hook may only read, compared before and after it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

State = dict[str, tuple[int, int, int]]


class Watched:
    """Folders that a hook is given to read, and the folder that it may write in.

    Files are compared by what `os.stat` says of them, so large weights cost nothing.

    Args:
        read: folders that must stay as they are.
        write: the one folder to write in; nothing may appear beside it.
    """

    def __init__(self, read: Iterable[Path], write: Path | None) -> None:
        self.write = write
        self._before = {folder: _state(folder) for folder in read}
        self._beside = _names(write.parent) if write else set()

    @property
    def written(self) -> list[str]:
        """What is in the folder to write in."""
        return sorted(_names(self.write)) if self.write else []

    def fault(self) -> str | None:
        """What the hook did that it may not, if it did."""
        for folder, before in self._before.items():
            after = _state(folder)
            for name in sorted({*before, *after}):
                if before.get(name) != after.get(name):
                    how = "removed" if name not in after else "wrote"
                    how = "changed" if name in before and name in after else how
                    return f"it {how} '{name}' in {folder}, which it may only read"
        if self.write and (added := _names(self.write.parent) - self._beside):
            name = min(added)
            return f"it wrote '{name}' beside the folder that it was given to write in"
        return None


def _names(folder: Path) -> set[str]:
    with suppress(OSError):
        return set(os.listdir(folder))
    return set()


def _state(folder: Path) -> State:
    """Each file below a folder, through links: its size, time of change and inode."""
    found: State = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                stat = path.stat()
                found[path.relative_to(folder).as_posix()] = (
                    stat.st_size,
                    stat.st_mtime_ns,
                    stat.st_ino,
                )
    return found
