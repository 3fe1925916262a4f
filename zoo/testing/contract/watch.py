"""Watch what a hook does beside what it returns: its prints, its connections, its files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock


@dataclass
class Seen:
    """What a hook did.

    Attributes:
        hook: its name.
        stdout: what it wrote there.
        connections: where it wanted to connect to.
        changes: what it changed in folders that are not its own, a clause each.
    """

    hook: str
    stdout: str = ""
    connections: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)


def files_of(folder: Path) -> dict[str, tuple[Any, ...]]:
    """What there is below a folder: kind, size and time of each file, the target of each link."""
    found: dict[str, tuple[Any, ...]] = {}
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root, name)
            known = path.lstat()
            is_folder = path.is_dir() and not path.is_symlink()
            stamp = () if is_folder else (known.st_size, known.st_mtime_ns)
            target = os.readlink(path) if path.is_symlink() else ""
            found[path.relative_to(folder).as_posix()] = (known.st_mode, *stamp, target)
    return found


def changes(what: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is different in a folder, a clause each."""
    found = [f"'{name}' appeared in {what}" for name in after if name not in before]
    found += [f"'{name}' is gone from {what}" for name in before if name not in after]
    return found + [
        f"'{name}' in {what} was changed"
        for name in before
        if name in after and before[name] != after[name]
    ]


def digests_of(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def watched(seen: Seen, folders: dict[str, Path], home: Path) -> Iterator[None]:
    """Fill `seen` with what happens within; the network is cut.

    Args:
        seen: what is filled in.
        folders: what nobody may change, by what to call it.
        home: an own folder for the working folder and for temporary files, both empty at first.
    """
    places = {"the working folder": home / "cwd", "the temporary folder": home / "tmp"}
    for place in places.values():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    everything = {**folders, **places}
    before = {what: files_of(folder) for what, folder in everything.items()}
    here, temporary = Path.cwd(), tempfile.tempdir
    os.chdir(home / "cwd")
    tempfile.tempdir = str(home / "tmp")
    try:
        with _stdout(seen), _offline(seen):
            yield
    finally:
        os.chdir(here)
        tempfile.tempdir = temporary
        for what, folder in everything.items():
            seen.changes += changes(what, before[what], files_of(folder))


@contextmanager
def _stdout(seen: Seen) -> Iterator[None]:
    """Catch what is printed, by Python and by libraries below it."""
    sys.stdout.flush()
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with tempfile.TemporaryFile(dir="/tmp" if os.path.isdir("/tmp") else None) as sink:
        kept = os.dup(1)
        os.dup2(sink.fileno(), 1)
        try:
            with contextlib.redirect_stdout(written):
                yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            sink.seek(0)
            raw = sink.read() + written.buffer.getvalue()
            seen.stdout += raw.decode("utf-8", "replace")


@contextmanager
def _offline(seen: Seen) -> Iterator[None]:
    """Refuse every connection but those within this machine's own files."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family == getattr(socket, "AF_UNIX", None):
            connect(self, address)
            return
        seen.connections.append(str(address))
        raise OSError("there is no network within a contract")

    def unknown(host: Any, *arguments: Any, **options: Any) -> Any:
        if host in (None, "localhost", "127.0.0.1"):
            return resolve(host, *arguments, **options)
        seen.connections.append(str(host))
        raise OSError("there is no network within a contract")

    with (
        mock.patch.object(socket.socket, "connect", refuse),
        mock.patch.object(socket, "getaddrinfo", unknown),
    ):
        yield
