"""What is let in from outside: names that become paths, and files that may run code when read.

Nothing here trusts a name because of where it came from: a recipe, a hub's listing, an archive's
entries and the manifest of a package all pass the same gate.
"""

from __future__ import annotations

import json
import re
import struct
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from zoo.errors import IntegrityError, said

LONGEST_NAME = 255
LONGEST_PATH = 1024
DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(1, 10)))
)
"""Names that mean a device on Windows, whatever their suffix."""
UNSAFE = frozenset('\\:*?"<>|')
"""Characters that no name may have on Windows."""

CODE = {
    ".pkl": "a pickle",
    ".pickle": "a pickle",
    ".joblib": "a pickle",
    ".bin": "a pickled checkpoint",
    ".pt": "a pickled checkpoint",
    ".pth": "a pickled checkpoint",
    ".ckpt": "a pickled checkpoint",
    ".h5": "a Keras file, whose layers may hold code",
    ".keras": "a Keras file, whose layers may hold code",
    ".py": "Python code",
    ".pyc": "Python code",
    ".so": "machine code",
    ".dylib": "machine code",
    ".dll": "machine code",
    ".sh": "a shell script",
}
"""Suffixes that are never fetched or read, each with what such a file is."""

NPY_MAGIC = b"\x93NUMPY"
LONGEST_NPY_HEADER = 1 << 16
MOST_NPZ_MEMBERS = 10_000


def confined(path: str) -> bool:
    """Whether `path` is relative, stays below its folder, and means the same on every system."""
    if not path or len(path) > LONGEST_PATH or not unicodedata.is_normalized("NFC", path):
        return False
    return all(_plain(part) for part in path.split("/"))


def plain_branch(name: str) -> bool:
    """Whether `name` may be a branch or tag: it also becomes a path in the Hub's cache.

    The rules are git's own (https://git-scm.com/docs/git-check-ref-format), and `confined`.
    """
    return (
        confined(name)
        and re.search(r"[~^\[\s]|@\{", name) is None
        and not any(part.startswith((".", "-")) or part.endswith(".lock") for part in _parts(name))
    )


def collisions(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of paths that are one file on a system that ignores case, or a file and its folder."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    found = []
    for path in sorted(paths):
        key = _folded(path)
        if key in seen:
            found.append((seen[key], path))
        seen[key] = path
        parts = key.split("/")
        for depth in range(1, len(parts)):
            folders.setdefault("/".join(parts[:depth]), path)
    found += [(seen[key], path) for key, path in folders.items() if key in seen]
    return found


def require_names(paths: Iterable[str], where: str) -> None:
    """Refuse paths that leave their folder or fall together.

    Raises:
        IntegrityError: which, and why.
    """
    listed = list(paths)
    for path in listed:
        if not confined(path):
            raise IntegrityError(
                f"{where} names a file {path!r}, which is not a plain path inside its folder",
                "it was not used; report it to its author",
            )
    for one, other in collisions(listed):
        raise IntegrityError(
            f"{where} names both {one!r} and {other!r}, which some systems cannot tell apart",
            "it was not used; report it to its author",
        )


def code_in(path: str) -> str | None:
    """What kind of code a file of this name may run when read, if any."""
    return CODE.get(Path(path.lower()).suffix)


def require_data(path: str, where: str) -> None:
    """Refuse a file whose name says that reading it may run code.

    Raises:
        IntegrityError: what it is.
    """
    if kind := code_in(path):
        raise IntegrityError(
            f"{where} lists '{path}', which is {kind}: reading it can run code of its maker",
            "zoo takes weights as safetensors only",
        )


def require_plain_numpy(path: Path) -> None:
    """Refuse a numpy file that holds Python objects: loading one unpickles them.

    The header is read as the format describes it
    (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), without numpy.

    Raises:
        IntegrityError: it holds objects, or is no numpy file.
    """
    import zipfile
    import zlib

    # What these two, and `ast.literal_eval`, raise of damaged, encrypted and nested input.
    unreadable = (
        ValueError, SyntaxError, OSError, struct.error, zipfile.BadZipFile, zlib.error, EOFError,
        MemoryError, RecursionError, RuntimeError,
    )  # fmt: skip
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                if len(members) > MOST_NPZ_MEMBERS:
                    raise ValueError(f"it has {len(members)} members")
                for member in members:
                    with archive.open(member) as file:
                        _require_plain_header(file, member.filename)  # type: ignore[arg-type]
        else:
            with path.open("rb") as file:
                _require_plain_header(file, path.name)
    except unreadable as error:
        raise IntegrityError(f"{path} cannot be read as numpy data: {said(error)}") from error


def require_package_names(package: Path) -> None:
    """Refuse a Core ML package whose `Manifest.json` points out of it.

    Raises:
        IntegrityError: what it says.
    """
    manifest = package / "Manifest.json"
    try:
        if not manifest.is_file():
            raise FileNotFoundError("there is no such file")
        entries = json.loads(manifest.read_text(encoding="utf-8"))["itemInfoEntries"]
        paths = [str(entry["path"]) for entry in entries.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"{manifest} cannot be read: {error}") from error
    require_names(paths, str(manifest))


def _plain(part: str) -> bool:
    return (
        part not in ("", ".", "..")
        and len(part.encode("utf-8", "surrogatepass")) <= LONGEST_NAME
        and part.isprintable()
        and UNSAFE.isdisjoint(part)
        and part == part.strip(" ")
        and not part.endswith(".")
        and part.partition(".")[0].rstrip(" ").lower() not in DEVICES
    )


def _parts(name: str) -> list[str]:
    return name.split("/")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", path).casefold()


def _require_plain_header(file: BinaryIO, name: str) -> None:
    start = file.read(8)
    if start[:6] != NPY_MAGIC or len(start) < 8:
        raise ValueError(f"'{name}' does not begin as a numpy array does")
    (length,) = (
        struct.unpack("<H", file.read(2)) if start[6] == 1 else struct.unpack("<I", file.read(4))
    )
    if length > LONGEST_NPY_HEADER:
        raise ValueError(f"the header of '{name}' claims {length} bytes")
    import ast

    header = ast.literal_eval(file.read(length).decode("latin-1"))
    if not isinstance(header, dict) or not isinstance(header.get("descr"), str | list):
        raise ValueError(f"the header of '{name}' has no description of its values")
    if "O" in str(header["descr"]):
        raise ValueError(f"'{name}' holds Python objects, which run code when loaded")
