"""The digests that files are known by, and the fingerprints that spare computing them again."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from zoo.files.safe_folder import open_regular

BLOCK = 1 << 20


class Digest(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


Fingerprint = tuple[int, int, int, int, int]

_known: dict[Fingerprint, str] = {}
_lock = threading.Lock()


def unique() -> str:
    """A few letters that nobody else makes up, for names of drafts."""
    return os.urandom(6).hex()


def fingerprint(path: Path) -> Fingerprint:
    """What changes when a file does: device, inode, size, and the times of data and of inode.

    The time of the inode (ctime) also moves when somebody sets the time of the data back.
    """
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as the Hub names a large one; read once as long as it is the same."""
    before = fingerprint(path)
    with _lock:
        known = _known.get(before)
    if known is not None:
        return known
    found = sha256_uncached(path)
    if fingerprint(path) == before:
        remember(path, found)
    return found


def sha256_uncached(path: Path) -> str:
    """The SHA-256 of a file, read from beginning to end whatever is known of it."""
    return _digest(path, hashlib.sha256())


def remember(path: Path, digest: str) -> None:
    """Take the word of whoever wrote `path` that this is its SHA-256, in this process alone."""
    with _lock:
        _known[fingerprint(path)] = digest


def git_sha1(path: Path) -> str:
    """The SHA-1 that git knows a file by, as the Hub names a small one."""
    return _digest(path, git_state(path.stat().st_size))


def git_state(size: int) -> Digest:
    """A SHA-1 as git begins it for a file of `size` bytes."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def blocks(path: Path) -> Iterator[memoryview]:
    """The bytes of a file, in one buffer after another."""
    buffer = memoryview(bytearray(BLOCK))
    with open_regular(path) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := file.readinto(buffer):
            yield buffer[:count]


def _digest(path: Path, state: Digest) -> str:
    for block in blocks(path):
        state.update(block)
    return state.hexdigest()
