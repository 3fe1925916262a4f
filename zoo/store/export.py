"""Write artifacts to a folder or a tar archive; `zoo.store.archive` describes what is in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

from zoo.catalogs.pins import Lock
from zoo.errors import NotFound, UsageError
from zoo.files import room, system, tar
from zoo.files.digests import blocks, unique
from zoo.files.safe_folder import SafeFolder, read_regular
from zoo.progress import Progress
from zoo.store import provenance
from zoo.store.archive import INDEX, LARGEST_NOTE, checked
from zoo.store.artifacts import Artifact
from zoo.store.store import SIGNATURE

OTHER_ARCHIVES = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip", ".7z")

Write = Callable[[str, int, Iterable[bytes]], None]
"""Writes one file of an export: its path, its size, its content."""


def export(artifacts: list[Artifact], lock: Lock, dest: Path, progress: Progress) -> None:
    """Write artifacts to a new folder, or to a tar archive when `dest` ends in `.tar`.

    Raises:
        UsageError: `dest` exists, ends in the suffix of another archive, or cannot be made.
        NotFound: the folder that `dest` would be in is not there.
        IntegrityError: a file is not what the store recorded; nothing is left at `dest`.
        NoRoom: the disk cannot hold it.
    """
    folder = _require_target(dest)
    total = sum(artifact.manifest.size for artifact in artifacts)
    room.require(folder, {"the export": total}, f"'{dest}'", "free some space")
    draft = folder / f".zoo-export.{unique()}"
    try:
        if dest.suffix == ".tar":
            with draft.open("wb") as file:
                _write_all(artifacts, lock, _tar_writer(file), progress)
                file.write(tar.END)
                file.flush()
                os.fsync(file.fileno())
        else:
            draft.mkdir()
            _write_all(artifacts, lock, _folder_writer(draft), progress)
        os.rename(draft, dest)
    except OSError as error:
        raise system.explain(error) from error
    finally:
        if os.path.lexists(draft):
            SafeFolder(folder).remove(draft.name)


def _require_target(dest: Path) -> Path:
    """The folder that an export goes into."""
    if not dest.name or os.path.lexists(dest):
        raise UsageError(f"{dest} exists already", "choose another name, or remove it")
    if (kind := "".join(dest.suffixes[-2:]).lower()).endswith(OTHER_ARCHIVES):
        raise UsageError(
            f"'{dest}' ends in {kind}, and zoo writes plain .tar archives: weights hardly shrink",
            f"write --to {dest.name.partition('.')[0]}.tar",
        )
    try:
        folder = dest.absolute().parent
    except OSError as error:
        raise system.explain(error) from error
    try:
        os.lstat(dest)
    except FileNotFoundError:
        if not dest.parent.is_dir():
            raise NotFound(f"there is no folder {dest.parent}", "make it first") from None
        return folder
    except OSError as error:
        raise UsageError(f"'{dest}' cannot be written: {(error.strerror or '').lower()}") from error
    raise UsageError(f"{dest} exists already", "choose another name, or remove it")


def _write_all(artifacts: list[Artifact], lock: Lock, write: Write, progress: Progress) -> None:
    manifests = [asdict(replace(a.manifest, location="data")) for a in artifacts]
    repos = {s.get("repo") for m in manifests for s in m["origin"].get("sources") or ()}
    known = {name: e for name, e in lock.entries().items() if name.partition("@")[0] in repos}
    index = {"schema": 1, "artifacts": manifests, "lock": known}
    text = json.dumps(index, indent=1).encode()
    write(INDEX, len(text), [text])
    done, total = 0, sum(artifact.manifest.size for artifact in artifacts)
    for artifact in artifacts:
        key = artifact.manifest.key
        for name, note in _notes(artifact).items():
            write(f"{key}/{name}", len(note), [note])
        for file in artifact.manifest.files:
            path = artifact.path / file.path
            write(
                f"{key}/files/{file.path}",
                file.size,
                checked(map(bytes, blocks(path)), file.size, file.sha256, str(path)),
            )
            done += file.size
            progress.update(done, total)


def _notes(artifact: Artifact) -> dict[str, bytes]:
    notes = {
        "README.md": provenance.model_card(artifact.manifest).encode(),
        "bom.cdx.json": provenance.dump(provenance.bill_of_materials(artifact.manifest)),
        "statement.intoto.json": provenance.dump(provenance.statement(artifact.manifest)),
    }
    signature = artifact.entry / SIGNATURE
    if signature.is_file():
        notes[SIGNATURE] = read_regular(signature, LARGEST_NOTE)
    return notes


def _tar_writer(file: BinaryIO) -> Write:
    def write(path: str, size: int, chunks: Iterable[bytes]) -> None:
        file.write(tar.header(path, size))
        for chunk in chunks:
            file.write(chunk)
        file.write(tar.padding(size))

    return write


def _folder_writer(folder: Path) -> Write:
    def write(path: str, size: int, chunks: Iterable[bytes]) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)

    return write
