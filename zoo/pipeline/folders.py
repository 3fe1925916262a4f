"""Folders of the user's own, checked before everything in them is read."""

from __future__ import annotations

from pathlib import Path

from zoo import machine
from zoo.errors import InputError, NotFound


def require_own_folder(folder: Path, what: str) -> None:
    """Refuse a folder that is missing, or that a whole home or disk is in.

    Args:
        what: the folder is to hold: "checkpoint" or "adapter".

    Raises:
        NotFound: it is not a folder.
        InputError: zoo's store is inside, which would become a part of its own source.
    """
    if not folder.is_dir():
        raise NotFound(f"the {what} '{folder}' is not a folder", f"give the folder of the {what}")
    store = machine.home().resolve()
    if store.is_relative_to(folder.resolve()):
        raise InputError(
            f"the folder '{folder}' contains more than the {what}: zoo's store, {store}",
            f"give the folder that contains the {what} alone",
        )
