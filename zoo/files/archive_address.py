"""The address of an archive, and of a folder inside of one."""

from __future__ import annotations

ENDINGS = (".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
FILE = "file://"


def archive_of(address: str) -> tuple[str, str] | None:
    """The path of the archive that an address names, and the folder inside that it points at.

    `model.whl#weights` is the folder `weights` in a wheel. `None` for an address that is no path
    of an archive.
    """
    path, _, inside = address.removeprefix(FILE).partition("#")
    if "://" in path or not path.lower().endswith(ENDINGS):
        return None
    return path, inside.strip("/")
