"""What a person writes for a model or an adapter: a name, a folder, or a repository on the Hub."""

from __future__ import annotations

import os
import re
from typing import Literal, NamedTuple

from zoo.catalogs.names import REPO
from zoo.catalogs.source import Source
from zoo.errors import UsageError
from zoo.files.paths import given_path
from zoo.files.trust import plain_branch

HUB = re.compile(rf"hf:(?P<repo>{REPO})(?:@(?P<revision>[\w./-]+))?")
COMMIT = re.compile("[0-9a-f]{40}")


class Reference(NamedTuple):
    """Where a model or an adapter is.

    Attributes:
        kind: a name of a catalog, a folder, or a repository on the Hub.
        name: the name as it was written, the absolute path of the folder, or `owner/name`.
        revision: the branch, tag or commit of a repository, if one was given.
    """

    kind: Literal["catalog", "folder", "hub"]
    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> Reference:
        """Read what was written. A path object is a folder however it begins.

        Raises:
            UsageError: it begins with `hf:` and names no repository.
        """
        if not isinstance(text, str):
            return cls("folder", str(given_path(os.fspath(text), "the folder")))
        if text.startswith((".", "/", "~")):
            return cls("folder", str(given_path(text, "the folder")))
        if match := HUB.fullmatch(text):
            return cls("hub", match["repo"], match["revision"])
        if text.startswith("hf:"):
            raise UsageError(
                f"'{text}' is not a repository of the Hub",
                "write hf:owner/name, or hf:owner/name@commit",
            )
        return cls("catalog", text)

    def __str__(self) -> str:
        """The identity of the model: the same however it was written, wherever."""
        if self.kind == "hub":
            return f"hf:{self.name}" + (f"@{self.revision}" if self.revision else "")
        return self.name

    @property
    def source(self) -> Source:
        """The source that a folder or a repository is.

        Raises:
            UsageError: the revision is not the name of a branch, a tag or a commit.
        """
        if self.kind == "folder":
            return Source(folder=self.name)
        if self.revision and COMMIT.fullmatch(self.revision):
            return Source(repo=self.name, revision=self.revision)
        branch = self.revision or "main"
        if not plain_branch(branch):
            raise UsageError(f"'{branch}' is not the name of a branch, a tag or a commit")
        return Source(repo=self.name, branch=branch)
