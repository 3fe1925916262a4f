"""Where a branch of a repository is now, without fetching anything."""

from __future__ import annotations

from zoo.catalogs.source import Source
from zoo.hub.repository import Repository
from zoo.progress import Progress


def head(repo: str, branch: str = "main") -> str:
    """The commit that a branch has now.

    Raises:
        NotFound, Gated, Offline: why the Hub cannot tell.
    """
    return Repository(Source(repo=repo, branch=branch), Progress("outdated")).head()
