"""Where the original model comes from, and which files of it are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zoo.catalogs.names import REPO
from zoo.files.archive_address import archive_of
from zoo.files.trust import confined, plain_branch

ANYWHERE = ("/", "~")
"""How a path begins that is not beside the recipe."""


@dataclass(frozen=True)
class File:
    """One file of a source."""

    path: str = field(metadata={"doc": "path inside the repository or folder"})
    size: int | None = field(default=None, metadata={"doc": "bytes", "minimum": 0})
    sha256: str | None = field(
        default=None,
        metadata={"doc": "64 hex digits", "pattern": "[0-9a-f]{64}", "expected": "64 hex digits"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        if not confined(self.path):
            yield "path", f"must stay inside the source, not '{self.path}'"


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a repository on the Hub, a folder, or an address."""

    repo: str | None = field(
        default=None,
        metadata={
            "doc": "repository on the Hub, as owner/name",
            "pattern": REPO,
            "expected": "owner/name",
        },
    )
    revision: str | None = field(
        default=None,
        metadata={
            "doc": "the commit: 40 hex digits, never a branch",
            "pattern": "[0-9a-f]{40}",
            "expected": "a commit of 40 hex digits",
        },
    )
    branch: str | None = field(
        default=None,
        metadata={"doc": "for a source without a known commit; the first pull pins it in zoo.lock"},
    )
    folder: str | None = field(
        default=None,
        metadata={
            "doc": "a folder beside the recipe, in place of a repository; in your own catalog also "
            "an absolute path, or one from ~"
        },
    )
    url: str | None = field(
        default=None,
        metadata={
            "doc": "an address that the family's download hook understands, or the path of a "
            "wheel, zip or tar archive, with #folder for a folder in it",
            "pattern": r"[^\s\x00-\x1f]{1,1024}",
            "expected": "an address without blanks",
        },
    )
    files: tuple[File, ...] = field(default=(), metadata={"doc": "the files needed"})

    @property
    def pinned(self) -> bool:
        """Whether the recipe pins every byte, by a commit or by hashes of the files."""
        return self.revision is not None or (
            self.repo is None and bool(self.files) and all(f.sha256 for f in self.files)
        )

    def place(self, home: Path) -> Path | None:
        """Return the path of the folder or archive, if the source is on this disk.

        Args:
            home: the folder of the recipe, which relative paths start from.
        """
        path = (self.archive or (self.folder,))[0]
        return None if path is None else home / Path(path).expanduser()

    @property
    def archive(self) -> tuple[str, str] | None:
        """The path of the archive that `url` names, and the folder in it, or `None`."""
        return archive_of(self.url) if self.url else None

    @property
    def size(self) -> int | None:
        """Bytes to download; `None` unless the size of every file is known."""
        sizes = [f.size for f in self.files]
        return sum(s or 0 for s in sizes) if sizes and None not in sizes else None

    def validate(self) -> Iterator[tuple[str, str]]:
        if sum(place is not None for place in (self.repo, self.folder, self.url)) != 1:
            yield "repo", "give one of 'repo', 'folder' and 'url'"
        if self.repo and (self.revision is None) == (self.branch is None):
            yield "revision", "give the commit as 'revision', or 'branch' when none is known"
        if self.branch is not None and not plain_branch(self.branch):
            yield "branch", f"must be the name of a branch or tag, not '{self.branch}'"
        for key, path in (("folder", self.folder), ("url", (self.archive or (None,))[0])):
            if path is not None and not (confined(path) or path.startswith(ANYWHERE)):
                yield key, f"must stay beside the recipe, not '{path}'"
        paths = [f.path for f in self.files]
        for path in sorted({p for p in paths if paths.count(p) > 1}):
            yield "files", f"lists '{path}' twice"
