"""Artifacts to and from machines without a network: a folder or a tar archive with a manifest.

    zoo-export.json            the manifests of the artifacts, and what zoo.lock knows of them
    <key>/files/<path>         their files
    <key>/README.md, bom.cdx.json, statement.intoto.json    where they come from, see provenance
    <key>/model.sig            the signature, if there is one

Every byte is hashed on its way out and on its way in. An import takes what the manifest lists and
nothing else, whatever the archive holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from zoo.catalogs.pins import Lock
from zoo.errors import IntegrityError, NotFound, UsageError
from zoo.files import room, tar
from zoo.files.digests import blocks, unique
from zoo.files.trust import require_data, require_names
from zoo.progress import Progress
from zoo.store import provenance
from zoo.store.artifacts import KEY, Artifact, Manifest, read_manifest
from zoo.store.store import SIGNATURE, Store

INDEX = "zoo-export.json"
LARGEST_INDEX = 1 << 26
LARGEST_NOTE = 1 << 26
MOST_ARTIFACTS = 1_000

Write = Callable[[str, int, Iterable[bytes]], None]


@dataclass(frozen=True)
class Index:
    """What an export says that it holds."""

    manifests: tuple[Manifest, ...]
    lock: dict[str, Any]

    def expected(self) -> dict[str, tuple[Manifest, int, str]]:
        """Each file by its path in the export: whose it is, its size, its SHA-256."""
        return {
            f"{manifest.key}/files/{file.path}": (manifest, file.size, file.sha256)
            for manifest in self.manifests
            for file in manifest.files
        }


def export(artifacts: list[Artifact], lock: Lock, dest: Path, progress: Progress) -> None:
    """Write artifacts to a new folder, or to a tar archive when `dest` ends in `.tar`.

    Raises:
        UsageError: `dest` exists.
        IntegrityError: a file is not what the store recorded; nothing is left at `dest`.
        NoRoom: the disk cannot hold it.
    """
    if dest.exists():
        raise UsageError(f"{dest} exists already", "choose another name, or remove it")
    total = sum(artifact.manifest.size for artifact in artifacts)
    room.require(dest.absolute().parent, {"the export": total}, f"'{dest}'", "free some space")
    draft = dest.absolute().parent / f".{dest.name}.{unique()}"
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
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        draft.unlink(missing_ok=True)


def bring(source: Path, store: Store, lock: Lock, progress: Progress) -> list[Artifact]:
    """Take the artifacts of an export into the store, all of them or none.

    Raises:
        NotFound: there is no export at `source`.
        IntegrityError: a file is missing, is not listed, or is not what the manifest says.
        NoRoom: the disk cannot hold it.
    """
    if source.is_dir():
        return _take(_folder_files(source), store, lock, progress, str(source))
    if not source.is_file():
        raise NotFound(f"there is no export at {source}")
    with source.open("rb") as file:
        return _take(_tar_files(file, str(source)), store, lock, progress, str(source))


def _write_all(artifacts: list[Artifact], lock: Lock, write: Write, progress: Progress) -> None:
    manifests = [asdict(replace(a.manifest, location="data")) for a in artifacts]
    repos = {s.get("repo") for m in manifests for s in m["origin"].get("sources", ())}
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
                _checked(map(bytes, blocks(path)), file.size, file.sha256, str(path)),
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
    return notes | ({SIGNATURE: signature.read_bytes()} if signature.is_file() else {})


def _checked(chunks: Iterable[bytes], size: int, sha256: str, name: str) -> Iterator[bytes]:
    """The chunks as they come, unless they turn out not to be what they should."""
    state, seen = hashlib.sha256(), 0
    for chunk in chunks:
        state.update(chunk)
        seen += len(chunk)
        if seen > size:
            break
        yield chunk
    if seen != size or state.hexdigest() != sha256:
        raise IntegrityError(f"{name} has other bytes than its manifest says")


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


Files = Iterator[tuple[str, int, Iterable[bytes]]]


def _tar_files(file: BinaryIO, name: str) -> Files:
    reader = tar.Reader(file, name)
    for member in reader:
        yield member.path, member.size, reader.chunks()


def _folder_files(folder: Path) -> Files:
    """The files of an unpacked export, its index first; links are not followed out of it."""
    inside = folder.resolve()
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    paths.sort(key=lambda path: path != folder / INDEX)
    for path in paths:
        if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(inside):
            raise IntegrityError(f"{path} is a link or no plain file")
        yield path.relative_to(folder).as_posix(), path.stat().st_size, map(bytes, blocks(path))


def _take(files: Files, store: Store, lock: Lock, progress: Progress, name: str) -> list[Artifact]:
    first, size, chunks = next(files, ("", 0, ()))
    if first != INDEX or size > LARGEST_INDEX:
        raise IntegrityError(f"{name} does not begin with {INDEX}; zoo export did not make it")
    index = _read_index(b"".join(chunks), name)
    expected = index.expected()
    notes = {f"{m.key}/{note}" for m in index.manifests for note in NOTES}
    total = sum(size for _, size, _ in expected.values())
    room.require(store.home, {"the import": total}, name, "free some space, or set ZOO_HOME")
    with ExitStack() as held:
        for manifest in sorted(index.manifests, key=lambda m: m.key):
            held.enter_context(store.lock(manifest.key))
        folders = {m.key: held.enter_context(store.workdir(m.key)) for m in index.manifests}
        seen: set[str] = set()
        done = 0
        for path, size, chunks in files:
            if path in seen or not (path in expected or path in notes):
                raise IntegrityError(f"{name} has '{path}', which its manifest does not list")
            seen.add(path)
            if path in notes:
                _take_note(folders, path, size, chunks, name)
                continue
            manifest, right, sha256 = expected[path]
            if size != right:
                raise IntegrityError(f"'{path}' in {name} has {size} bytes, not {right}")
            target = folders[manifest.key] / path.split("/", 2)[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for chunk in _checked(chunks, size, sha256, f"'{path}' in {name}"):
                    file.write(chunk)
            done += size
            progress.update(done, total)
        if missing := expected.keys() - seen:
            raise IntegrityError(f"{name} lacks '{min(missing)}'")
        lock.adopt(index.lock)
        made = []
        for manifest in index.manifests:
            folder = folders[manifest.key]
            made.append(store.publish(folder, folder, manifest))
        return made


NOTES = ("README.md", "bom.cdx.json", "statement.intoto.json", SIGNATURE)


def _take_note(
    folders: dict[str, Path], path: str, size: int, chunks: Iterable[bytes], name: str
) -> None:
    """Keep a signature; the other notes are made anew from the manifest whenever asked for."""
    if size > LARGEST_NOTE:
        raise IntegrityError(f"'{path}' in {name} has {size} bytes")
    data = b"".join(chunks)
    key, _, note = path.partition("/")
    if note == SIGNATURE:
        (folders[key].parent / SIGNATURE).write_bytes(data)


def _read_index(text: bytes, name: str) -> Index:
    try:
        data = json.loads(text)
        if data["schema"] != 1:
            raise ValueError(f"it has the schema {data['schema']!r}, and this zoo reads 1")
        found = data["artifacts"]
        if not isinstance(found, list) or not 0 < len(found) <= MOST_ARTIFACTS:
            raise ValueError("it lists no artifacts")
        manifests = tuple(read_manifest(json.dumps(m).encode()) for m in found)
        lock = data["lock"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{INDEX} in {name} cannot be read: {error}") from error
    keys = [manifest.key for manifest in manifests]
    if not all(map(KEY.fullmatch, keys)) or len(set(keys)) != len(keys):
        raise IntegrityError(f"{INDEX} in {name} has a key that is none, or has one twice")
    for manifest in manifests:
        require_names([file.path for file in manifest.files], f"'{manifest.key}' in {name}")
        if manifest.step == "download":
            for file in manifest.files:
                require_data(file.path, f"'{manifest.key}' in {name}")
    return Index(tuple(replace(manifest, location="data") for manifest in manifests), lock)
