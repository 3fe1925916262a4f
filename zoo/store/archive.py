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
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from zoo.catalogs.pins import Lock
from zoo.errors import IntegrityError, NotFound
from zoo.files import room, system, tar
from zoo.files.digests import BLOCK
from zoo.files.documents import parse_json
from zoo.files.readable import require_readable
from zoo.files.safe_folder import SafeFolder
from zoo.files.trust import require_data, require_names
from zoo.progress import Progress
from zoo.store import signing
from zoo.store.artifacts import KEY, Artifact, Manifest, read_manifest
from zoo.store.store import SIGNATURE, Store

INDEX = "zoo-export.json"
LARGEST_INDEX = 1 << 26
LARGEST_NOTE = 1 << 26
MOST_ARTIFACTS = 1_000


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


def bring(
    source: Path, store: Store, lock: Lock, progress: Progress, key: Path | None = None
) -> list[Artifact]:
    """Take the artifacts of an export into the store, all of them or none.

    An artifact that is here already, with the same files and the same story, stays as it is.

    Args:
        source: the folder or the archive.
        store: where they go.
        lock: takes over what the export says of the sources of its artifacts.
        progress: receives the bytes.
        key: a public key; artifacts without a good signature by it are refused.

    Raises:
        NotFound: there is no export at `source`.
        IntegrityError: a file is missing, is not listed, or is not what the manifest says; an
            artifact would take the place of another one; a signature by `key` is missing or bad.
        NoRoom: the disk cannot hold it.
    """
    try:
        if source.is_dir():
            return _take(_folder_files(source), store, lock, progress, str(source), key)
        if not source.is_file():
            raise NotFound(f"there is no export at {source}")
        with source.open("rb") as file:
            return _take(_tar_files(file, str(source)), store, lock, progress, str(source), key)
    except OSError as error:
        raise system.explain(error) from error


def checked(chunks: Iterable[bytes], size: int, sha256: str, name: str) -> Iterator[bytes]:
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


Files = Iterator[tuple[str, int, Iterable[bytes]]]


def _tar_files(file: BinaryIO, name: str) -> Files:
    reader = tar.Reader(file, name)
    for member in reader:
        yield member.path, member.size, reader.chunks()


def _folder_files(folder: Path) -> Files:
    """The files of an unpacked export, its index first; links are not followed."""
    if not (folder / INDEX).is_file():
        raise IntegrityError(f"{folder} has no {INDEX}; zoo export did not make it")
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    paths.sort(key=lambda path: path != folder / INDEX)
    inside = SafeFolder(folder)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        with inside.open(name) as file:
            size = os.fstat(file.fileno()).st_size
            yield name, size, iter(lambda file=file: file.read(BLOCK), b"")  # type: ignore[misc]


def _take(
    files: Files, store: Store, lock: Lock, progress: Progress, name: str, key: Path | None
) -> list[Artifact]:
    first, size, chunks = next(files, ("", 0, ()))
    if first != INDEX or size > LARGEST_INDEX:
        raise IntegrityError(f"{name} does not begin with {INDEX}; zoo export did not make it")
    index = _read_index(b"".join(chunks), name)
    pins = _pins_of(index, name)
    lock.require_agreement(pins)
    expected = index.expected()
    total = sum(size for _, size, _ in expected.values())
    room.require(store.home, {"the import": total}, name, "free some space, or set ZOO_HOME")
    with ExitStack() as held:
        for manifest in sorted(index.manifests, key=lambda m: m.key):
            held.enter_context(store.lock(manifest.key))
        here = {m.key: found for m in index.manifests if (found := _standing(store, m, name))}
        folders = {m.key: held.enter_context(store.workdir(m.key)) for m in index.manifests}
        _write_files(files, index, folders, name, lambda done: progress.update(done, total))
        if key is not None:
            _require_signed(index, folders, key)
        made = _publish(index, folders, store, here)
        try:
            lock.adopt(pins)
        except BaseException:
            _withdraw(store, [a for a in made if a.manifest.key not in here])
            raise
        return made


def _write_files(
    files: Files, index: Index, folders: dict[str, Path], name: str, report: Callable[[int], None]
) -> None:
    """Write what an export holds below the work folders, each file checked."""
    expected = index.expected()
    notes = {f"{m.key}/{note}" for m in index.manifests for note in NOTES}
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
            for chunk in checked(chunks, size, sha256, f"'{path}' in {name}"):
                file.write(chunk)
        require_readable(target)
        done += size
        report(done)
    if missing := expected.keys() - seen:
        raise IntegrityError(f"{name} lacks '{min(missing)}'")


def _standing(store: Store, manifest: Manifest, name: str) -> Artifact | None:
    """The sound artifact of the same key that is here, when it is the same.

    Raises:
        IntegrityError: it is another one.
    """
    entry = store.artifacts / manifest.key
    try:
        here = store.read(entry)
    except IntegrityError:
        return None  # It cannot be read: what is brought makes it good.
    if here is None:
        return None
    if signing.said_of(here.manifest) != signing.said_of(manifest):
        raise IntegrityError(
            f"'{manifest.key}' is here already, and {name} brings another one of that key",
            f"find out which is right; to take that of the archive: zoo rm {manifest.key}",
        )
    sound = not any(file.fault(here.path) for file in here.manifest.files)
    return here if sound else None


def _require_signed(index: Index, folders: dict[str, Path], key: Path) -> None:
    for manifest in index.manifests:
        folder = folders[manifest.key]
        signing.require(Artifact(folder, manifest, folder.parent), key)


def _publish(
    index: Index, folders: dict[str, Path], store: Store, here: dict[str, Artifact]
) -> list[Artifact]:
    """Put the artifacts in their places, all or none."""
    made: list[Artifact] = []
    try:
        for manifest in index.manifests:
            folder = folders[manifest.key]
            made.append(here.get(manifest.key) or store.publish(folder, folder, manifest))
    except BaseException:
        _withdraw(store, [a for a in made if a.manifest.key not in here])
        raise
    return made


def _withdraw(store: Store, made: list[Artifact]) -> None:
    for artifact in made:
        store.withdraw(artifact)


def _pins_of(index: Index, name: str) -> dict[str, Any]:
    """What an export says of the sources of its artifacts, in the form of `zoo.lock`.

    Raises:
        IntegrityError: it pins a repository, a commit or bytes that no artifact of it is made from.
    """
    if not isinstance(index.lock, dict):
        raise IntegrityError(f"the record of sources in {name} is not a table")
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for manifest in index.manifests:
        for source in manifest.origin.get("sources") or ():
            files = known.setdefault((str(source.get("repo")), str(source.get("commit"))), {})
            files |= {file["path"]: file.get("sha256") for file in source["files"]}
    for pin, entry in index.lock.items():
        try:
            files = known[pin.partition("@")[0], str(entry["commit"])]
            foreign = [f["path"] for f in entry["files"] if files[f["path"]] != f["sha256"]]
        except (KeyError, TypeError, AttributeError):
            foreign = [pin]
        if foreign:
            raise IntegrityError(
                f"{name} pins '{pin}' to a source that none of its artifacts is made from",
                "nothing was imported; ask its author for another export",
            )
    return index.lock


NOTES = ("README.md", "bom.cdx.json", "statement.intoto.json", SIGNATURE)


def _take_note(
    folders: dict[str, Path], path: str, size: int, chunks: Iterable[bytes], name: str
) -> None:
    """Keep a signature; the other notes are made again from the manifest when needed."""
    if size > LARGEST_NOTE:
        raise IntegrityError(f"'{path}' in {name} has {size} bytes")
    data = b"".join(chunks)
    key, _, note = path.partition("/")
    if note == SIGNATURE:
        SafeFolder(folders[key].parent).replace(SIGNATURE, data)


def _read_index(text: bytes, name: str) -> Index:
    try:
        data = parse_json(text)
        if data["schema"] != 1:
            raise ValueError(f"it has the schema {data['schema']!r}, and this zoo reads 1")
        found = data["artifacts"]
        if not isinstance(found, list) or not 0 < len(found) <= MOST_ARTIFACTS:
            raise ValueError("it lists no artifacts")
        manifests = tuple(read_manifest(json.dumps(m).encode()) for m in found)
        lock = data["lock"]
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{INDEX} in {name} cannot be read: {error}") from error
    keys = [manifest.key for manifest in manifests]
    if not all(map(KEY.fullmatch, keys)) or len(set(keys)) != len(keys):
        raise IntegrityError(f"{INDEX} in {name} has an invalid or duplicate key")
    for manifest in manifests:
        require_names([file.path for file in manifest.files], f"'{manifest.key}' in {name}")
        if manifest.step == "download":
            for file in manifest.files:
                require_data(file.path, f"'{manifest.key}' in {name}")
    return Index(tuple(replace(manifest, location="data") for manifest in manifests), lock)
