"""What the operating system refuses, as a sentence for people."""

from __future__ import annotations

import errno
import os

from zoo.errors import Inaccessible, NoRoom, UsageError, ZooError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MACHINE = (
    *FULL, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM,
    errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO,
)  # fmt: skip
"""Failures of a disk, a permission or a limit, whoever's code meets them."""

HINTS = {
    errno.EACCES: "it belongs to somebody else; set ZOO_HOME and HF_HOME to folders of yours",
    errno.EPERM: "it belongs to somebody else; set ZOO_HOME and HF_HOME to folders of yours",
    errno.EROFS: "set ZOO_HOME and HF_HOME to folders that can be written",
    errno.EIO: "the disk may be failing: look at the system's log",
    errno.EMFILE: "too many files are open: raise the limit with ulimit -n",
    errno.ENFILE: "too many files are open on this machine: close other programs",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "somebody may have removed it meanwhile; try again",
    errno.ESTALE: "the network disk has lost it; try again",
}

PSEUDO = ("/proc/", "/sys/")
"""Folders that show the state of the system, and store nothing."""


def explain(error: OSError) -> ZooError:
    """What to tell a person of a file, a folder or a disk that cannot be used.

    Returns:
        `NoRoom` when the disk is full or a limit of sizes is met, `UsageError` when the working
        folder is gone, else `Inaccessible`.
    """
    where = "" if error.filename is None else os.fsdecode(str(error.filename))
    if error.errno in FULL:
        written = error.filename2 or error.filename  # of a copy, where it goes
        at = "" if written is None else f" at {os.fsdecode(str(written))}"
        return NoRoom(
            f"the disk is full{at}"
            if error.errno != errno.EFBIG
            else f"a file{at} became larger than is allowed here",
            "free some space with zoo prune, or set ZOO_HOME or HF_HOME to a folder elsewhere",
        )
    if error.errno == errno.ENOENT and not where:
        return UsageError("the working folder no longer exists", "change to another folder")
    if where.startswith(PSEUDO):
        return Inaccessible(
            f"{where} cannot be used: the system keeps no files there",
            "set ZOO_HOME and HF_HOME to folders of yours",
        )
    why = (error.strerror or "it cannot be used").lower()
    what = where or "a file, a folder or a connection"
    return Inaccessible(f"{what} cannot be used: {why}", HINTS.get(error.errno or 0))
