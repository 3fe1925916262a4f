"""Files out of a wheel, a zip or a tar archive that lies on this disk."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from zoo.errors import IntegrityError, NotFound, said
from zoo.files.trust import confined

UNREADABLE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError,
    ValueError,
)  # fmt: skip
"""What the standard library raises of archives that are damaged, encrypted or none."""

Member = tuple[str, Callable[[], IO[bytes] | None]]


def unpack(archive: Path, inside: str, wanted: Callable[[str], bool], dest: Path) -> None:
    """Write the wanted files of an archive into a folder.

    Only regular files with plain relative names are written; links and devices are not.

    Args:
        archive: the file.
        inside: the folder in it whose files are meant; empty for all.
        wanted: whether a file is, by its path below `inside`.
        dest: where to write.

    Raises:
        NotFound: there is no such archive, or nothing that is wanted in it.
        IntegrityError: it cannot be read.
    """
    if not archive.is_file():
        raise NotFound(f"the archive {archive} does not exist")
    prefix, found = f"{inside}/" if inside else "", False
    try:
        for name, open_member in _members(archive):
            path = name.removeprefix("./").removeprefix(prefix)
            if not name.removeprefix("./").startswith(prefix) or not confined(path):
                continue
            stream = open_member() if wanted(path) else None
            if stream is None:
                continue
            found = True
            target = dest / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with stream, target.open("wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
    except UNREADABLE as error:
        raise IntegrityError(f"the archive {archive} cannot be read: {said(error)}") from error
    if not found:
        raise NotFound(f"the archive {archive} has none of the files in '{inside or '.'}'")


def _members(archive: Path) -> Iterator[Member]:
    """The regular files of an archive: name, and what opens it."""
    if archive.suffix.lower() in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                kind = info.external_attr >> 28
                if not info.is_dir() and kind in (0, 0o10):
                    yield info.filename, _opener(opened, info)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isreg():
                yield member.name, _extractor(tar, member)


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)


def _extractor(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes] | None]:
    return lambda: tar.extractfile(member)
