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


class Shared:
    """A folder whose files a hook may replace, but neither add to nor take from.

    Some of them may be hard links to files elsewhere, which must stay as they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = _state(folder)

    def fault(self) -> str | None:
        """What was done that may not be done, if anything was."""
        after = _state(self.folder)
        if changed := sorted(self._before.keys() ^ after.keys()):
            how = "added" if changed[0] in after else "removed"
            return f"it {how} '{changed[0]}'"
        for name, (_, _, inode) in sorted(after.items()):
            written = self._before[name] != after[name] and self._before[name][2] == inode
            if written and (self.folder / name).stat().st_nlink > 1:
                return f"it wrote into '{name}', which other artifacts share: write a new file"
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
