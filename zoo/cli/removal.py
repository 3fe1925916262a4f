"""Ask, delete, and say how much room that made."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from zoo.cli import output
from zoo.errors import Exit, InUse
from zoo.store.folders import disk_usage
from zoo.store.store import Store
from zoo.words import human


def remove(store: Store, folders: list[Path], *, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Delete folders of the store, or files elsewhere, unless the person says no; the exit code."""
    if not dry_run and not yes and folders and not _confirmed(folders):
        output.note("nothing was removed")
        return Exit.NEGATIVE
    gone, freed = (folders, _usage(folders)) if dry_run else _delete(store, folders)
    code = Exit.OK if len(gone) == len(folders) else Exit.NEGATIVE
    if as_json:
        output.document({"dry_run": dry_run, "removed": [f.name for f in gone], "bytes": freed})
        return code
    for folder in gone:
        output.tell(f"{'would remove' if dry_run else 'removed'} {folder.name}")
    would = "would be freed" if dry_run else "freed"
    output.tell(f"{human(freed)} {would}" if folders else "nothing to remove")
    return code


def _delete(store: Store, folders: list[Path]) -> tuple[list[Path], int]:
    """Delete what nobody uses; what is gone, and the bytes that this freed."""
    gone, freed = [], 0
    for folder in folders:
        try:
            if folder.is_relative_to(store.home):
                freed += store.remove(folder)
            else:
                freed += _usage([folder])
                folder.unlink(missing_ok=True)
            gone.append(folder)
        except InUse as error:
            output.note(f"{error.message}; it stays")
    return gone, freed


def _usage(paths: list[Path]) -> int:
    there = [path for path in paths if os.path.lexists(path)]
    folders = [path for path in there if path.is_dir() and not path.is_symlink()]
    files = sum(path.lstat().st_blocks * 512 for path in there if path not in folders)
    return files + disk_usage(folders)


def _confirmed(folders: list[Path]) -> bool:
    if not _has_terminal():
        raise click.UsageError(
            "there is no terminal to confirm in: add -y to remove without asking"
        )
    for folder in folders:
        output.warn(f"  {folder.name}  {human(_usage([folder]))}")
    what = "this folder" if len(folders) == 1 else f"these {len(folders)} folders"
    return click.confirm(f"Remove {what}?", err=True)


def _has_terminal() -> bool:
    return sys.stdin.isatty()
