"""What was read of catalogs and recipes, kept so that browsing parses only what has changed.

Reading a recipe takes some 4 ms, and there may be thousands. The index is a cache and nothing
more: it is written whole and renamed, and one whose checksum is wrong, of another version, of other
plugins, or that another user could have written is read as an empty one. Where it cannot be
written, nothing is kept.

After a line that says what the index is of, there is a line for each file: its path, its stamp and
value, and details of it, between tabs. Only what is asked for is decoded.
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

FORMAT = 3
LARGEST = 1 << 28
DAYS = 30
"""How long an index that nobody writes again is kept: that of an environment that is gone."""
OURS_ALONE = 0o600
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

Stamp = list[int]

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Index:
    """One file of values by path, each valid while its file stays what it was.

    Args:
        path: where it is kept.
        made_by: what else the values depend on, such as versions.
    """

    def __init__(self, path: Path, made_by: str) -> None:
        self.path, self.made_by = path, made_by
        self._known: dict[str, str] | None = None
        self._used: dict[str, str] = {}
        self._changed = False
        self._decode = json.JSONDecoder().raw_decode

    def get(self, path: str, stamp: Stamp | None) -> Any:
        """The value of a file that has the stamp; `None` when it is not known."""
        if self._known is None:
            self._known = self._read()
        line = self._known.get(path)
        if stamp is None or line is None:
            return None
        try:
            kept, value = self._decode(line, len(path) + 1)[0]
        except (ValueError, TypeError, RecursionError):
            return None
        if kept != stamp:
            return None
        self._used[path] = line
        return value

    def details(self, path: str) -> Any:
        """The details of a file whose value is known or was put."""
        line = self._used[path]
        return self._decode(line, line.index("\t", len(path) + 1) + 1)[0]

    def put(self, path: str, stamp: Stamp | None, value: Any, details: Any = None) -> None:
        """Remember the value of a file, read after its stamp was taken, and details of it.

        A path that does not fit on a line is remembered for this process alone.
        """
        self._used[path] = f"{path}\t{_encode([stamp, value])}\t{_encode(details)}"
        self._changed = self._changed or stamp is not None

    def save(self, *, whole: bool = False) -> None:
        """Write what has changed.

        Args:
            whole: whether everything was asked for, so that the rest is of files that are gone.
        """
        if not self._changed and not (whole and len(self._used) < len(self._known or ())):
            return
        lines = self._used if whole else {**(self._known or {}), **self._used}
        kept = "\n".join(line for path, line in lines.items() if _fits(path))
        body = kept.encode(errors="surrogateescape")
        head = json.dumps([FORMAT, self.made_by, zlib.crc32(body)]).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write(self.path, head + b"\n" + body)
            _remove_old(self.path.parent)
        except OSError:  # a home that cannot be written is browsed all the same
            return
        self._changed = False

    def _read(self) -> dict[str, str]:
        try:
            data = _ours(self.path)
            head, *lines = data.decode(errors="surrogateescape").split("\n")
            if json.loads(head) != [FORMAT, self.made_by, zlib.crc32(_after_line(data))]:
                return {}
            return {line[: line.index("\t")]: line for line in lines if line}
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
        entries, sum = dist.declared or b"", 0
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


def _after_line(data: bytes) -> memoryview:
    return memoryview(data)[data.index(b"\n") + 1 :]


def _fits(path: str) -> bool:
    return "\n" not in path and "\t" not in path


def _ours(path: Path) -> bytes:
    """The content of a regular file that nobody else could write; nothing is waited for.

    Raises:
        ValueError: it is another's, a link, a pipe or a device.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        ours = found.st_uid == os.geteuid() and not found.st_mode & OTHERS_WRITE
        if not stat.S_ISREG(found.st_mode) or not ours or found.st_size > LARGEST:
            raise ValueError("it is not an index of ours")
        return file.read()


def _write(path: Path, data: bytes) -> None:
    """Have `data` in a file of ours at `path`, all at once."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(draft, flags, OURS_ALONE), "wb") as file:
            file.write(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _remove_old(folder: Path) -> None:
    import time

    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > DAYS * 86_400:
                path.unlink()
