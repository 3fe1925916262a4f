"""What is known of an artifact: its files as they were published, and what it was made from."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.files.digests import sha256, sha256_anew
from zoo.files.trust import confined

KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,90}")
SHA256 = re.compile("[0-9a-f]{64}")


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
        stat = (folder / path).stat()
        return cls(path, stat.st_size, stat.st_mtime_ns, digest, stat.st_ino, stat.st_ctime_ns)

    def touched(self, folder: Path) -> bool:
        """Whether the file is another one, or may have changed, since it was recorded."""
        try:
            return Stored.of(folder, self.path, self.sha256) != self
        except OSError:
            return True

    def fault(self, folder: Path, *, anew: bool = False) -> str | None:
        """What is wrong with the file, found by hashing it; `anew` even if it was just hashed."""
        path = folder / self.path
        try:
            size = path.stat().st_size
        except OSError:
            return f"{self.path} is missing"
        if size != self.size:
            return f"{self.path} has {size} bytes, not {self.size}"
        digest = sha256_anew(path) if anew else sha256(path)
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
    schema: int = 1
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)

    def dump(self) -> bytes:
        """The manifest as it is written."""
        return json.dumps(asdict(self), indent=1).encode()


@dataclass(frozen=True)
class Artifact:
    """A published artifact: `path` holds its files."""

    path: Path
    manifest: Manifest
    entry: Path

    def restat(self) -> Artifact:
        """The artifact with each file recorded as it is now; its hashes stay."""
        files = tuple(Stored.of(self.path, f.path, f.sha256) for f in self.manifest.files)
        return Artifact(self.path, replace(self.manifest, files=files), self.entry)


def read_manifest(text: bytes) -> Manifest:
    """A manifest, which may have been damaged, or written by a stranger.

    Raises:
        ValueError: what is wrong with it.
    """
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
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
        if not isinstance(getattr(manifest, name), str):
            yield f"its {name} is no text"
    for name in ("inputs", "tools", "origin"):
        if not isinstance(getattr(manifest, name), dict):
            yield f"its {name} is no table"
    if not isinstance(manifest.check, dict | None):
        yield "its check is no table"
    for file in manifest.files:
        numbers = (file.size, file.mtime_ns, file.inode, file.ctime_ns)
        if not all(type(number) is int for number in numbers) or file.size < 0:
            yield "a size or time of its files is no number"
        if not isinstance(file.sha256, str) or not SHA256.fullmatch(file.sha256):
            yield "a sha256 of its files is no digest"
        if not isinstance(file.path, str) or not confined(file.path):
            yield f"its file {file.path!r} is no plain path"


def describe_files(folder: Path, patterns: Iterable[str] = ("**/*",)) -> tuple[Stored, ...]:
    """The files of `folder` that match one of the patterns, hashed."""
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    return tuple(Stored.of(folder, name, sha256(folder / name)) for name in names)


def now() -> str:
    """The time, as manifests write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
