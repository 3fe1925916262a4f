"""One holder at a time, among threads and processes, also where `flock` does nothing.

Some network file systems let every caller have the same `flock`, or have none at all. So it is
taken where it works, which makes waiting cheap, and on top of it a *claim* decides: a numbered file
in the lock's folder that only one process can create. The claim with the highest number holds.

    <lock>/flock       locked by whoever holds or tries
    <lock>/<number>    who holds: host, process, and when that began; or `free`

A claim of a dead process of this machine is passed at once; so is any of this machine once we hold
a `flock` that shuts others out, whatever process has its number now. One of another machine is
passed when its file was not touched for `LEASE` seconds by the file system's own clock; a holder
touches its claim every `BEAT` seconds. Numbers only grow, and a claim is removed only after a
higher one exists, so a process that was asleep for long cannot take a lock by an old number.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from zoo.errors import IntegrityError
from zoo.files.safe_folder import read_regular

BEAT = 5.0
LEASE = 60.0
LONGEST_NAME = 1_000
PAUSE = 0.05
FREE = "free"
UNKNOWN = "some time"
"""When a process began, where the system does not tell."""

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
NO_FLOCK = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EIO)


class Taken(Exception):
    """Somebody else holds the lock; `holder` says who, as far as it is known."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextmanager
def holding(
    folder: Path,
    on_wait: Callable[[str], None] | None = None,
    *,
    wait: bool = True,
    stop: threading.Event | None = None,
) -> Iterator[None]:
    """Hold the lock in `folder` while the block runs.

    Args:
        folder: the lock's own folder; it is made if need be, and stays.
        on_wait: called once, with who holds the lock, when it is not free.
        wait: whether to wait until it is free.
        stop: stop waiting once this is set.

    Raises:
        Taken: it is not free, and `wait` is false or `stop` was set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notified = False
    while True:
        held = _try(folder)
        if not isinstance(held, str):
            break
        if on_wait and not notified:
            notified = True
            on_wait(held)
        if not wait or (stop and stop.is_set()):
            raise Taken(held)
        time.sleep(PAUSE)
    handle, claim = held
    beating = beat(claim)
    try:
        yield
    finally:
        beating.set()
        _release(claim)
        _close(handle)


def holder(folder: Path) -> str | None:
    """Who holds the lock in `folder`, without trying to take it."""
    number = _highest(folder)
    return None if number is None else living(folder / str(number))


def this_process() -> str:
    """What tells this process from all others, on this machine and on those that share its disk."""
    return f"{_host()}:{os.getpid()}:{_began(os.getpid())}:{os.uname().nodename}"


def alive(identity: str) -> bool | None:
    """Whether the process so called runs, or `None` when it is of another machine."""
    host, pid, began = [*identity.split(":", 3), "", "", ""][:3]
    if host != _host() or not pid.isdecimal():
        return None
    return _began(int(pid)) == began


def _try(folder: Path) -> tuple[int | None, Path] | str:
    """The lock, as a descriptor with the `flock` and our claim; or who has it."""
    handle = _flock(folder / "flock")
    if handle == "taken":
        return holder(folder) or "another process"
    number = _highest(folder)
    ours = isinstance(handle, int) and _excludes(folder / "flock")
    if number is not None and (other := living(folder / str(number), but_this_machine=ours)):
        _close(handle)
        return other
    claim = folder / str((number or 0) + 1)
    if not sign(claim):
        _close(handle)
        return "another process"
    if _highest(folder) != int(claim.name):
        claim.unlink(missing_ok=True)
        _close(handle)
        return "another process"
    for old in _numbers(folder):
        if old < int(claim.name):
            (folder / str(old)).unlink(missing_ok=True)
    return (handle if isinstance(handle, int) else None), claim


def _flock(path: Path) -> int | str | None:
    """A descriptor that holds the `flock`, "taken", or `None` where there is no such thing."""
    try:
        import fcntl
    except ImportError:
        return None
    handle = _open(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return "taken"
        if error.errno in NO_FLOCK:
            return None
        raise
    return handle


def _open(path: Path) -> int:
    """A descriptor on a file of ours; a link in its place is removed, and not followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK):
            raise
    path.unlink(missing_ok=True)
    return os.open(path, flags, 0o666)


def _excludes(path: Path) -> bool:
    """Whether the `flock` that we hold on a file shuts out others on this machine.

    On some file systems everybody gets it.
    """
    other = _flock(path)
    _close(other)
    return other == "taken"


def _close(handle: int | str | None) -> None:
    if isinstance(handle, int):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_UN)  # a forked child may still have the descriptor
        os.close(handle)


def _numbers(folder: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isascii() and name.isdigit()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _highest(folder: Path) -> int | None:
    return max(_numbers(folder), default=None)


def sign(claim: Path) -> bool:
    """Make a file that names this process, unless there is one already.

    A symbolic link is made with its content at once, and needs no room on a full disk.
    """
    try:
        os.symlink(this_process(), claim)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        try:
            with claim.open("x", encoding="utf-8") as file:
                file.write(this_process())
        except FileExistsError:
            return False
    return True


def _release(claim: Path) -> None:
    draft = claim.parent / f".{os.urandom(6).hex()}"
    try:
        os.symlink(FREE, draft)
        os.replace(draft, claim)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        claim.write_text(FREE, encoding="utf-8")


def signer(claim: Path) -> str:
    """Whom a signed file names."""
    try:
        return os.readlink(claim)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return read_regular(claim, LONGEST_NAME).decode(errors="replace")


def living(claim: Path, *, but_this_machine: bool = False) -> str | None:
    """Who holds by this claim, in words; `None` when nobody does any more.

    Args:
        claim: a signed file.
        but_this_machine: take every process of this machine for dead.
    """
    try:
        identity, touched = signer(claim), claim.lstat().st_mtime
    except FileNotFoundError:
        return None
    except (OSError, IntegrityError):
        return None  # garbage, which no process of ours has made
    if identity == FREE:
        return None
    lives = alive(identity)
    _, pid, began, host = [*identity.split(":", 3), "", "", "", ""][:4]
    if lives and but_this_machine:
        lives = False
    elif lives is None or (lives and began == UNKNOWN):
        lives = _now(claim.parent) - touched < LEASE
    return (f"process {pid} on {host}" if host else "another process") if lives else None


def _now(folder: Path) -> float:
    """The time by the clock of the file system that `folder` is on."""
    try:
        handle = _open(folder / "flock")
    except OSError:  # it cannot be written, so nobody there touches anything either
        return time.time()
    try:
        os.utime(handle)
        return os.fstat(handle).st_mtime
    finally:
        os.close(handle)


def beat(claim: Path) -> threading.Event:
    """Touch the claim now and then until the event is set."""
    done = threading.Event()

    def touch() -> None:
        while not done.wait(BEAT):
            with suppress(OSError):
                os.utime(claim, follow_symlinks=False)

    threading.Thread(target=touch, name=f"claim {claim}", daemon=True).start()
    return done


@cache
def _host() -> str:
    """This machine, this start of it, and this process namespace, in a few letters."""
    parts = [os.uname().nodename]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


def _began(pid: int) -> str | None:
    """When a process of this machine began, or `None` when there is none of that number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _exists(pid)
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> str | None:
    """`UNKNOWN` if there is such a process: all that is to be had where there is no /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return UNKNOWN
    return UNKNOWN
