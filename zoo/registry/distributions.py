"""What is installed, read from the metadata files themselves.

`importlib.metadata` reads them with the package `email`, whose import alone takes longer than all
of this. It is asked where distributions are found by something other than Python's own finder, or
lie in an archive on the path. The files are those of the packaging specifications:
https://packaging.python.org/specifications/recording-installed-packages/
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from importlib.machinery import PathFinder
from types import FrameType
from typing import NamedTuple

from zoo.errors import BrokenPlugin, said

ENDINGS = (".dist-info", ".egg-info")
VALUE = re.compile(r"[\w.]+\s*(?::\s*[\w.]+\s*)?(?P<extras>\[.*\])?\s*")
OURS = "zoo."
"""What the entry points of a plugin have in them, so that those of others are not parsed."""


class EntryPoint(NamedTuple):
    """A line of `entry_points.txt`, as it was written, and the distribution that declares it."""

    group: str
    name: str
    value: str
    dist: Distribution

    @property
    def extras(self) -> tuple[str, ...] | None:
        """The extras that the value names; `None` when it is no value of an entry point."""
        match = VALUE.fullmatch(self.value)
        return None if match is None else tuple(re.findall(r"\w+", match["extras"] or ""))


class Distribution:
    """An installed distribution.

    Args:
        label: what its folder is called, with the version.
        data: reads one of its files; returns `None` for one that is not there.
    """

    def __init__(self, label: str, data: Callable[[str], bytes | None]) -> None:
        self.label, self.data = label, data

    def read_text(self, name: str) -> str | None:
        """The text of one of its files, `None` when it is not there.

        Raises:
            UnicodeDecodeError: it is no text.
        """
        data = self.data(name)
        return None if data is None else data.decode()

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """The fields of its metadata, by name in lower case.

        Raises:
            UnicodeDecodeError: they are no text.
        """
        text = self.read_text("METADATA") or self.read_text("PKG-INFO") or ""
        found: dict[str, list[str]] = {}
        last: list[str] = []
        for line in re.split(r"\r?\n\r?\n", text, maxsplit=1)[0].splitlines():
            if line[:1] in " \t":
                if last:
                    last[-1] += " " + line.strip()
                continue
            name, colon, value = line.partition(":")
            if colon:
                last = found.setdefault(name.strip().lower(), [])
                last.append(value.strip())
        return found

    @cached_property
    def declared(self) -> bytes | None:
        """What is in its `entry_points.txt`, `None` when it has none."""
        return self.data("entry_points.txt")

    @property
    def name(self) -> str | None:
        return next(iter(self.headers.get("name", ())), None)

    @property
    def version(self) -> str | None:
        return next(iter(self.headers.get("version", ())), None)

    @property
    def requires(self) -> list[str]:
        """Its requirements, a line each; those of an egg are not read."""
        return self.headers.get("requires-dist", [])

    def entry_points(self) -> Iterator[EntryPoint]:
        """Its entry points in groups of `zoo`.

        Raises:
            ValueError: the file is no text, or a line in it is neither a group nor `name = value`.
        """
        text = (self.declared or b"").decode()  # of a stranger's too: it stops PyTorch
        if OURS not in text:
            return
        group = ""
        for line in map(str.strip, text.splitlines()):
            if line.startswith("[") and line.endswith("]"):
                group = line.strip("[]")
            elif line and not line.startswith("#") and group:
                name, equals, value = line.partition("=")
                if not equals:
                    raise ValueError(f"'{line[:80]}' is not 'name = value'")
                if group.startswith(OURS):
                    yield EntryPoint(group, name.strip(), value.strip(), self)


def installed() -> dict[str, Distribution]:
    """The distributions on the path by normalized name; the first of a name hides the others."""
    others = [f for f in sys.meta_path if hasattr(f, "find_distributions") and f is not PathFinder]
    if others or any(map(os.path.isfile, sys.path)):
        return _asked()
    return _scanned(tuple((path, _changed(path)) for path in sys.path))


def version(name: str) -> str | None:
    """The version of an installed distribution, `None` when there is none of that name."""
    found = installed().get(normalized(name))
    return found.version if found else None


def damage(error: BaseException) -> BrokenPlugin | None:
    """What to tell of an exception that is one of reading the metadata of some distribution.

    PyTorch, transformers and others read those of every distribution when they are imported, so
    that a damaged file of one that nobody needs stops them.

    Returns: the error that names the file; `None` for an exception of another origin.
    """
    for cause in _causes(error):
        path, trace = None, cause.__traceback__
        while trace is not None:
            path, trace = _metadata_read_in(trace.tb_frame) or path, trace.tb_next
        if path is not None:
            name = os.path.basename(path[0]).partition("-")[0]
            return BrokenPlugin(
                f"a library cannot read {os.path.join(*filter(None, path))}: "
                f"{type(cause).__name__}: {said(cause)}",
                f"install {name} again, or remove that folder",
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and those that it was raised from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _metadata_read_in(frame: FrameType) -> tuple[str, str] | None:
    """The folder of the distribution that a function of `importlib.metadata` is at, and the file of
    it, if that is known."""
    if frame.f_globals.get("__name__") not in ("importlib.metadata", "importlib_metadata"):
        return None
    for value in frame.f_locals.values():
        if type(value).__name__ == "PathDistribution" and (folder := getattr(value, "_path", None)):
            return str(folder), str(frame.f_locals.get("filename", ""))
    return None


def normalized(name: str) -> str:
    """A name as distributions are compared by (PEP 503), with `_` as their folders have it."""
    return re.sub(r"[-_.]+", "_", name).lower()


@cache
def _scanned(paths: tuple[tuple[str, int], ...]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for path, _ in paths:
        try:
            names = os.listdir(path or ".")
        except OSError:
            continue
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() in ENDINGS:
                stem = stem.partition("-")[0]
            elif not (name.lower() == "egg-info" and path.endswith(".egg")):
                continue
            folder = os.path.join(path, name)
            found.setdefault(normalized(stem), Distribution(name, _reader(folder)))
    return found


def _reader(folder: str) -> Callable[[str], bytes | None]:
    def read(name: str) -> bytes | None:
        try:
            with open(f"{folder}{os.sep}{name}", "rb") as file:
                return file.read()
        except OSError:
            return None

    return read


def _changed(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0


@cache
def _asked() -> dict[str, Distribution]:
    """The same from `importlib.metadata`."""
    from importlib import metadata

    found: dict[str, Distribution] = {}
    for each in metadata.distributions():
        try:
            name, label = each.name or "?", f"{each.name}-{each.version}"
        except Exception:  # its metadata is no text, or lacks it
            name = label = "?"

        def read(file: str, each: metadata.Distribution = each) -> bytes | None:
            try:
                text = each.read_text(file)
            except UnicodeDecodeError as error:
                return error.object
            return None if text is None else text.encode()

        found.setdefault(normalized(name), Distribution(label, read))
    return found
