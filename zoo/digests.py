"""The digests that files are known by."""

from __future__ import annotations

import hashlib
from pathlib import Path

BLOCK = 1 << 20


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as the Hub names a large one."""
    return _digest(path, hashlib.sha256())


def git_sha1(path: Path) -> str:
    """The SHA-1 that git knows a file by, as the Hub names a small one."""
    header = b"blob %d\0" % path.stat().st_size
    return _digest(path, hashlib.sha1(header, usedforsecurity=False))


def _digest(path: Path, state: hashlib._Hash) -> str:
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()
