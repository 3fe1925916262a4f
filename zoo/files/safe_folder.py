"""Files below a folder, opened, replaced and removed without following a link.

The folder itself may be reached through links: its owner chose it. Below it nothing is followed:
each part of a path is opened from a handle on the part before it (`openat`, `O_NOFOLLOW`), and only
regular files are read and written. So a link, a FIFO or a device that somebody put in the place of
a file is never read, written through, waited for, or removed at its far end.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO, cast

from zoo.errors import IntegrityError
from zoo.files.trust import LONGEST_NAME

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
PERMISSIONS = 0o666
LINKED = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
ABSENT = (errno.ENOENT, errno.ENOTDIR)


class SafeFolder:
    """What is below `root`; paths are relative to it, with `/` between their parts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def info(self, path: str) -> os.stat_result | None:
        """What `os.lstat` says of `path`; `None` when there is nothing."""
        try:
            with self._parent(path) as (handle, name):
                return os.stat(name, dir_fd=handle, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_file(self, path: str) -> bool:
        """Whether `path` is a regular file; a link is none."""
        try:
            found = self.info(path)
        except (OSError, IntegrityError):
            return False
        return found is not None and stat.S_ISREG(found.st_mode)

    def open(self, path: str, flags: int = os.O_RDONLY) -> BinaryIO:
        """The regular file at `path`, unbuffered; `flags` are those of `os.open`.

        Raises:
            IntegrityError: it is a link, a folder, or anything else but a regular file.
            OSError: it cannot be opened.
        """
        try:
            with self._parent(path, make=bool(flags & os.O_CREAT)) as (handle, name):
                descriptor = os.open(name, flags | PLAIN, PERMISSIONS, dir_fd=handle)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO):
                raise self._refused(path) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._refused(path)
        mode = {os.O_RDONLY: "rb", os.O_WRONLY: "wb", os.O_RDWR: "r+b"}[flags & os.O_ACCMODE]
        return cast(BinaryIO, os.fdopen(descriptor, mode, buffering=0))

    def read(self, path: str, most: int) -> bytes:
        """The bytes of the regular file at `path`.

        Raises:
            IntegrityError: it is no regular file, or has more than `most` bytes.
            OSError: it cannot be read.
        """
        with self.open(path) as file:
            data = bytearray()
            while block := file.read(most + 1 - len(data)):
                data += block
                if len(data) > most:
                    raise IntegrityError(f"{self.root / path} has over {most} bytes")
        return bytes(data)

    def replace(self, path: str, data: bytes, *, sync: bool = False) -> None:
        """Have `data` at `path`, all at once; what was there, a link too, is replaced."""
        parent, _, name = path.rpartition("/")
        draft = f"{parent}/{_draft(name)}".lstrip("/")
        try:
            with self.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                write_all(file, data)
                if sync:
                    os.fsync(file.fileno())
            self.move(draft, path)
        finally:
            self.remove(draft)

    def link(self, path: str, target: str) -> None:
        """Have a symbolic link to `target` at `path`, in the place of what was there."""
        parent, _, name = path.rpartition("/")
        draft = f"{parent}/{_draft(name)}".lstrip("/")
        try:
            with self._parent(draft, make=True) as (handle, short):
                os.symlink(target, short, dir_fd=handle)
            self.move(draft, path)
        finally:
            self.remove(draft)

    def target(self, path: str) -> str | None:
        """Where the link at `path` leads; `None` when it is no link."""
        try:
            with self._parent(path) as (handle, name):
                return os.readlink(name, dir_fd=handle)
        except OSError as error:
            if error.errno in (*ABSENT, errno.EINVAL):
                return None
            raise

    def move(self, path: str, to: str) -> None:
        """Rename `path`; a folder in the place of `to` goes first, a file or link is replaced."""
        with self._parent(path) as (one, name), self._parent(to, make=True) as (other, new):
            try:
                os.replace(name, new, src_dir_fd=one, dst_dir_fd=other)
            except OSError as error:
                if error.errno not in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self.remove(to)
                os.replace(name, new, src_dir_fd=one, dst_dir_fd=other)

    def make(self, path: str) -> None:
        """Have a folder at `path`."""
        with self._parent(f"{path}/.", make=True):
            pass

    def remove(self, path: str) -> bool:
        """Remove a file, a link (never what it leads to), or a whole folder; whether it was there.

        Raises:
            OSError: it cannot be removed.
        """
        try:
            with self._parent(path) as (handle, name):
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    shutil.rmtree(name, dir_fd=handle)
                else:
                    os.unlink(name, dir_fd=handle)
        except FileNotFoundError:
            return False
        return True

    def sync(self, path: str = "") -> None:
        """Have the names in a folder on the disk."""
        with self._parent(f"{path}/.".lstrip("/")) as (handle, _):
            os.fsync(handle)

    def names(self, path: str = "") -> list[str]:
        """The names in a folder, sorted; none when there is no such folder."""
        try:
            with self._parent(f"{path}/.".lstrip("/")) as (handle, _):
                return sorted(os.listdir(handle))
        except OSError as error:
            if error.errno in ABSENT:
                return []
            raise

    @contextmanager
    def _parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """A handle on the folder that `path` is in, and its last part."""
        *folders, name = path.split("/")
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in folders:
                if part in ("", ".", ".."):
                    raise self._refused(path)
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=handle)
                try:
                    deeper = os.open(part, FOLDER, dir_fd=handle)
                except OSError as error:
                    if error.errno in LINKED and _there(part, handle):
                        raise self._refused(path) from error
                    raise
                os.close(handle)
                handle = deeper
            yield handle, name
        finally:
            os.close(handle)

    def _refused(self, path: str) -> IntegrityError:
        return IntegrityError(
            f"{self.root / path} is not a plain file: it is, or leads through, a link or a special "
            "file, which zoo does not follow here",
            "find out who put it there, and remove it",
        )


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """Write all of `data` to an unbuffered file, however little it takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a file that a person named; links are followed, but it must be a plain file.

    Raises:
        OSError: it cannot be read, or is a folder, a FIFO or a device.
        IntegrityError: it has more than `most` bytes.
    """
    with open_regular(path) as file:
        data = bytearray()
        while block := file.read(most + 1 - len(data)):
            data += block
    if len(data) > most:
        raise IntegrityError(f"{path} has over {most} bytes")
    return bytes(data)


def open_regular(path: Path) -> FileIO:
    """A file open for reading, unbuffered, unless it is a folder, a FIFO or a device.

    Raises:
        OSError: it cannot be opened, or is none; nothing is waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return FileIO(descriptor, "rb")


def _draft(name: str) -> str:
    return f".{name[: LONGEST_NAME // 5]}.{os.urandom(6).hex()}"


def _there(part: str, handle: int) -> bool:
    """Whether `part` exists, as a link or something else that is no folder."""
    try:
        return not stat.S_ISDIR(os.stat(part, dir_fd=handle, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
