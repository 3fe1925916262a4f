"""What is known of an artifact: its files as they were published, and what it was made from."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.digests import git_sha1, sha256, sha256_uncached
from zoo.files.documents import parse_json
from zoo.files.trust import confined, require_names

KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,90}")
SHA256 = re.compile("[0-9a-f]{64}")
SCHEMA = 1
WEIGHTS = ".safetensors"
LONGEST_FIELD = 4_000
MOST_FILES = 100_000


class NewerManifest(ValueError):
    """A manifest of a version of zoo that is newer than this one."""


@dataclass(frozen=True)
class Stored:
    """One file of an artifact, as it was when published.

    What `os.stat` says is compared before every use. The time of the inode (ctime) is what betrays
    a change whose author set the time of the data back.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str
    inode: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, folder: Path, path: str, digest: str) -> Stored:
        """The file as it is now, known to have this SHA-256."""
        now = (folder / path).stat()
        return cls(path, now.st_size, now.st_mtime_ns, digest, now.st_ino, now.st_ctime_ns)

    def touched(self, folder: Path) -> bool:
        """Whether the file is another one, or may have changed, since it was recorded."""
        try:
            return Stored.of(folder, self.path, self.sha256) != self
        except OSError:
            return True

    def fault(self, folder: Path, *, uncached: bool = False) -> str | None:
        """What is wrong with the file, found by hashing it; `uncached` hashes it again."""
        path = folder / self.path
        try:
            found = path.stat()
        except OSError:
            return f"{self.path} is missing"
        if not stat.S_ISREG(found.st_mode):
            return f"{self.path} is not a file any more"
        if found.st_size != self.size:
            return f"{self.path} has {found.st_size} bytes, not {self.size}"
        digest = sha256_uncached(path) if uncached else sha256(path)
        return f"{self.path} has other bytes than recorded" if digest != self.sha256 else None


@dataclass(frozen=True)
class Manifest:
    """What an artifact is and what it was made from.

    `origin` is for whoever asks later where it came from: the recipe's own words, each source with
    its commit and the hashes of its files, and the version of zoo.
    """

    key: str
    ref: str
    step: str
    build: str
    format: str
    created: str
    location: str
    inputs: dict[str, Any]
    files: tuple[Stored, ...]
    tools: dict[str, str | None] = field(default_factory=dict)
    check: dict[str, Any] | None = None
    schema: int = SCHEMA
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)

    def dump(self) -> bytes:
        """The manifest as it is written."""
        return json.dumps(asdict(self), indent=1).encode()


@dataclass(frozen=True)
class Artifact:
    """An artifact in the store: a source, a conversion or a build.

    Attributes:
        path: the folder with its files.
        manifest: what it is, what it was made from, its files and the verdict of its check.
        entry: its folder in the store.
    """

    path: Path
    manifest: Manifest
    entry: Path

    def restat(self) -> Artifact:
        """Return the artifact with the current size and times of its files and the same hashes."""
        files = tuple(Stored.of(self.path, f.path, f.sha256) for f in self.manifest.files)
        return Artifact(self.path, replace(self.manifest, files=files), self.entry)


def read_manifest(text: bytes) -> Manifest:
    """A manifest, which may have been damaged, or written by a stranger.

    Raises:
        NewerManifest: it is of a newer version of zoo.
        ValueError: what is wrong with it.
    """
    data = parse_json(text)
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    schema = data.get("schema", SCHEMA)
    if type(schema) is not int or schema < 1:
        raise ValueError("its schema is not a number")
    if schema > SCHEMA:
        raise NewerManifest(f"it has the schema {schema}, and this zoo reads {SCHEMA}")
    try:
        files = tuple(Stored(**file) for file in data.pop("files"))
        manifest = Manifest(files=files, **data)
    except (TypeError, KeyError) as error:
        raise ValueError(f"its keys are wrong: {error}") from None
    if wrong := next(_wrong_fields(manifest), None):
        raise ValueError(wrong)
    return manifest


def _wrong_fields(manifest: Manifest) -> Iterator[str]:
    for name in ("key", "ref", "step", "build", "format", "created", "location"):
        value = getattr(manifest, name)
        if not isinstance(value, str) or len(value) > LONGEST_FIELD:
            yield f"its {name} is not a string, or is too long"
    for name in ("inputs", "tools", "origin"):
        if not isinstance(getattr(manifest, name), dict):
            yield f"its {name} is not a table"
    if not all(isinstance(version, str | None) for version in manifest.tools.values()):
        yield "its tools have a version that is not a string"
    if len(manifest.files) > MOST_FILES:
        yield f"it has over {MOST_FILES} files"
    yield from _wrong_check(manifest.check)
    yield from _wrong_origin(manifest.origin)
    yield from _wrong_files(manifest.files)


def _wrong_files(files: Iterable[Stored]) -> Iterator[str]:
    for file in files:
        numbers = (file.size, file.mtime_ns, file.inode, file.ctime_ns)
        if not all(type(number) is int for number in numbers) or file.size < 0:
            yield "a size or time of its files is not a number"
        if not isinstance(file.sha256, str) or not SHA256.fullmatch(file.sha256):
            yield "a sha256 of its files is not 64 hexadecimal digits"
        if not isinstance(file.path, str) or not confined(file.path):
            yield f"its file {file.path!r} is not a plain path"


def _wrong_check(check: Any) -> Iterator[str]:
    if check is None:
        return
    if not isinstance(check, dict):
        yield "its check is not a table"
        return
    if not all(isinstance(check.get(name), str | None) for name in ("status", "reason")):
        yield "the verdict of its check is not a string"
    metrics = check.get("metrics")
    figures = metrics.values() if isinstance(metrics, dict) else ()
    if not isinstance(metrics, dict | None) or not all(
        isinstance(figure, int | float | None) for figure in figures
    ):
        yield "the metrics of its check are not numbers"
    if not _is_lint(check.get("lint", {})):
        yield "the lint report in its check is malformed"


def _is_lint(lint: Any) -> bool:
    if not isinstance(lint, dict):
        return False
    findings, accepted = lint.get("findings", []), lint.get("accepted", {})
    return (
        isinstance(lint.get("target", ""), str)
        and isinstance(findings, list)
        and all(
            isinstance(finding, dict)
            and all(isinstance(finding.get(key), str) for key in ("id", "title", "effect"))
            and type(finding.get("count")) is int
            for finding in findings
        )
        and isinstance(accepted, dict)
        and all(isinstance(reason, str) for reason in accepted.values())
    )


def _wrong_origin(origin: Any) -> Iterator[str]:
    if not isinstance(origin, dict):
        return
    if not isinstance(origin.get("recipe"), dict | None):
        yield "the recipe in its origin is not a table"
    sources = origin.get("sources")
    if not isinstance(sources, list | None):
        yield "the sources in its origin are not a list"
        return
    for source in sources or ():
        if not isinstance(source, dict) or not isinstance(source.get("files"), list):
            yield "a source in its origin is not a table with files"
            return
        named = (source.get(name) for name in ("repo", "folder", "commit", "branch"))
        if not all(isinstance(text, str | None) for text in named):
            yield "a source in its origin has a name that is not a string"
        for file in source["files"]:
            if not isinstance(file, dict) or not isinstance(file.get("path"), str):
                yield "a file in its origin has no path"
            elif not isinstance(file.get("sha256"), str | None):
                yield "a sha256 in its origin is not a string"


def describe_files(folder: Path, patterns: Iterable[str] = ("**/*",)) -> tuple[Stored, ...]:
    """The files of `folder` that match one of the patterns, hashed.

    Raises:
        IntegrityError: one is a link to a file elsewhere that is not named by its own digest, as
            those in the Hub's cache are: its bytes are none of this folder's. Or one is a FIFO, a
            socket or a device, or has a name that no system but this one can have.
    """
    found = {path for pattern in patterns for path in folder.glob(pattern) if not path.is_dir()}
    names = sorted(path.relative_to(folder).as_posix() for path in found)
    require_names(names, str(folder))
    for name in names:
        if not (folder / name).is_file():
            raise IntegrityError(f"{folder / name} is not a regular file", "remove it")
        require_own(folder, name)
    return tuple(Stored.of(folder, name, sha256(folder / name)) for name in names)


def require_own(folder: Path, name: str) -> None:
    """Refuse a file of `folder` that is, or lies behind, a link to somewhere else.

    A link to a file that is named by its own digest is followed: so the Hub's cache is made. So is
    one to weights: they are often kept on another disk, and are read as weights or not at all.

    Raises:
        IntegrityError: where it leads.
    """
    path = folder / name
    whole = Path(os.path.realpath(path))
    if whole.is_relative_to(os.path.realpath(folder)) or whole.suffix == WEIGHTS:
        return
    by_name = {40: git_sha1, 64: sha256}.get(len(whole.name))
    if by_name is None or by_name(whole) != whole.name:
        raise IntegrityError(
            f"{path} leads to {whole}, outside of {folder}",
            "put a copy of the file in the place of the link",
        )


def now() -> str:
    """The time, as manifests write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
