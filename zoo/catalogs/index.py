"""What was read of catalogs and recipes, kept so that browsing parses only what has changed.

Reading a recipe takes some 4 ms, and there may be thousands. The index is a cache and nothing
more: it is written whole and renamed, and one whose checksum is wrong, of another version, or of
other plugins is read as an empty one. Where it cannot be written, nothing is kept.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from zoo.registry.distributions import OURS, installed

FORMAT = 2
LARGEST = 1 << 28
DAYS = 30
"""How long an index that nobody writes again is kept: that of an environment that is gone."""

Stamp = list[int]


class Index:
    """One file of values by path, each valid while its file stays what it was.

    Args:
        path: where it is kept.
        made_by: what else the values depend on, such as versions.
    """

    def __init__(self, path: Path, made_by: str) -> None:
        self.path, self.made_by = path, made_by
        self._known: dict[str, Any] | None = None
        self._used: dict[str, Any] = {}
        self._changed = False

    def get(self, path: str, stamp: Stamp | None) -> Any:
        """The value of a file that has the stamp; `None` when it is not known."""
        if self._known is None:
            self._known = self._read()
        kept = self._known.get(path)
        if stamp is None or kept is None or kept[0] != stamp:
            return None
        self._used[path] = kept
        return kept[1]

    def put(self, path: str, stamp: Stamp | None, value: Any) -> None:
        """Remember the value of a file, read after its stamp was taken."""
        if stamp is not None:
            self._used[path] = [stamp, value]
            self._changed = True

    def remember(self, key: str, make: Callable[[], int]) -> int:
        """A number or a truth that depends on nothing but `made_by`, such as what is installed."""
        kept = self.get(key, [])
        if isinstance(kept, int):
            return kept
        value = make()
        self.put(key, [], value)
        return value

    def save(self, *, whole: bool = False) -> None:
        """Write what has changed.

        Args:
            whole: whether everything was asked for, so that the rest is of files that are gone.
        """
        if not self._changed and not (whole and len(self._used) < len(self._known or ())):
            return
        files = self._used if whole else {**(self._known or {}), **self._used}
        body = json.dumps(files)
        head = json.dumps([FORMAT, self.made_by, zlib.crc32(body.encode())])
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_text(f"{head}\n{body}", encoding="utf-8")
                os.replace(draft, self.path)
            finally:
                draft.unlink(missing_ok=True)
            _remove_old(self.path.parent)
        except OSError:  # a home that cannot be written is browsed all the same
            return
        self._changed = False

    def _read(self) -> dict[str, Any]:
        try:
            head, _, body = _regular(self.path).partition(b"\n")
            if json.loads(head) != [FORMAT, self.made_by, zlib.crc32(body)]:
                return {}
            files: dict[str, Any] = json.loads(body.decode("ascii"))
            return files
        except (OSError, ValueError, RecursionError):
            return {}


def index_path(home: Path, kind: str, config: Path) -> Path:
    """Where the index of this environment is: each environment has its own."""
    environment = zlib.crc32(repr((sys.prefix, str(config))).encode())
    return home / "index" / f"{kind}-{environment:08x}.json"


def stamp_of(path: str) -> Stamp | None:
    """Size and time of change of a regular file; `None` when there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns] if stat.S_ISREG(found.st_mode) else None


@cache
def installed_here() -> str:
    """Every installed distribution, and the metadata of those with entry points of ours."""
    found = []
    for name, dist in sorted(installed().items()):
        entries, sum = dist.data("entry_points.txt") or b"", 0
        if OURS.encode() in entries:
            sum = zlib.crc32((dist.data("METADATA") or b"") + entries)
        found.append(f"{name} {dist.label} {sum:x}")
    return f"{sys.version} {zlib.crc32(repr(found).encode()):08x} {len(found)}"


def code_here(modules: Callable[[], list[str]]) -> str:
    """The state of the code that estimates and validates, which an editable install may change.

    Args:
        modules: the names of the modules of plugins that describe formats and tasks.
    """
    package = os.path.dirname(os.path.dirname(__file__))
    paths = [os.path.join(package, "schema.py")]
    for part in ("catalogs", "formats", "registry", "tasks"):
        for folder, _, names in os.walk(os.path.join(package, part)):
            paths += [os.path.join(folder, name) for name in names if name.endswith(".py")]
    for module in modules():
        place = module.replace(".", os.sep)
        paths += [
            f"{root}{os.sep}{place}{end}" for root in sys.path for end in (".py", "/__init__.py")
        ]
    return f"{zlib.crc32(repr([stamp_of(path) for path in sorted(paths)]).encode()):08x}"


def _regular(path: Path) -> bytes:
    """The content of a regular file; a pipe or a device is not waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            raise ValueError("it is not an index")
        return file.read()


def _remove_old(folder: Path) -> None:
    import time

    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > DAYS * 86_400:
                path.unlink()
