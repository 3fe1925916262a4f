"""Catalogs that a person added: folders that stay where they are, and unpacked archives.

Each has a folder `catalogs/NAME` in the configuration folder, with `added.json` saying where it is
from. A folder added by its path is read where it is; an archive is unpacked beside `added.json`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zoo import machine
from zoo.catalogs.names import NAME
from zoo.errors import BrokenPlugin, NotFound, UsageError, ZooError

RECORD = "added.json"
CATALOG = "catalog.toml"
LARGEST_RECORD = 1 << 16


class Added(NamedTuple):
    """A catalog that was added.

    Attributes:
        name: what its models are qualified by.
        origin: the path or the address that it was added from.
        path: its catalog file.
        sha256: the digest of the archive that it came in; `None` for a folder.
    """

    name: str
    origin: str
    path: Path
    sha256: str | None


def folder() -> Path:
    """Where added catalogs are."""
    return machine.config_folder() / "catalogs"


def names() -> list[str]:
    """The names of the catalogs that were added, whether they can be read or not."""
    try:
        with os.scandir(folder()) as entries:
            return sorted(e.name for e in entries if e.is_dir() and re.fullmatch(NAME, e.name))
    except OSError:
        return []


def read(name: str) -> Added:
    """The catalog that was added under a name.

    Raises:
        BrokenPlugin: its record cannot be read.
    """
    from zoo.files.documents import parse_json
    from zoo.files.safe_folder import read_regular

    place = folder() / name
    try:
        record = parse_json(read_regular(place / RECORD, LARGEST_RECORD))
        path = Path(record["path"]) if record["path"] else place / CATALOG
        return Added(name, str(record["origin"]), path, record["sha256"])
    except (OSError, ValueError, KeyError, TypeError, ZooError) as error:
        raise BrokenPlugin(
            f"the catalog '{name}' was added and its record cannot be read: {error}",
            f"remove it: zoo catalog remove {name}",
        ) from error


def every() -> Iterator[Added]:
    """The catalogs that were added and whose records can be read."""
    for name in names():
        try:
            yield read(name)
        except BrokenPlugin:
            continue


def install(name: str, origin: str, source: Path, sha256: str | None, *, copy: bool) -> Added:
    """Register a catalog; `source` is its folder.

    Raises:
        UsageError: the name is no name.
    """
    import shutil

    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"'{name}' cannot be the name of a catalog", "give one in lower case with --name"
        )
    place = folder() / name
    draft = place.with_name(f".{name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        if copy:
            shutil.copytree(source, draft)
        else:
            draft.mkdir()
        path = None if copy else str(source / CATALOG)
        record = {"origin": origin, "path": path, "sha256": sha256}
        (draft / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.rename(draft, place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return read(name)


def remove(name: str) -> None:
    """Forget a catalog that was added; a folder that was added by its path stays.

    Raises:
        NotFound: none of that name was added.
    """
    import shutil

    if name not in names():
        have = ", ".join(names()) or "none"
        raise NotFound(f"no catalog '{name}' was added", f"added: {have}")
    shutil.rmtree(folder() / name)


def as_data(added: Added) -> dict[str, object]:
    """The same as plain data."""
    return {**added._asdict(), "path": str(added.path)}
