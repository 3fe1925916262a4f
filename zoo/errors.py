"""Everything `zoo` raises on purpose: one sentence, one hint, one exit code."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of the command line."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    NOT_FOUND = 3
    GATED = 4
    INTEGRITY = 5
    NO_ROOM = 6
    OFFLINE = 7
    PLUGIN = 8
    INTERRUPTED = 130


class ZooError(Exception):
    """A failure a person can act on.

    `message` is one sentence that names the thing and says why; `hint`, when there is one, says
    what to do about it on the command line; `in_python` says it for Python, where that differs,
    and is what a traceback shows; `code` is the exit code of the command that ends with it.
    """

    code: Exit = Exit.NEGATIVE

    def __init__(
        self, message: str, hint: str | None = None, *, in_python: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if advice := in_python or hint:
            self.add_note(f"hint: {advice}")


class CheckFailed(ZooError):
    """A build does not agree with its source."""


class DoesNotFit(ZooError):
    """A model needs more memory than this machine has."""


class InUse(ZooError):
    """Something cannot be removed while a process reads it."""


class Inaccessible(ZooError):
    """The operating system refuses a file, a folder or a disk."""


class UsageError(ZooError):
    """The request itself is wrong."""

    code = Exit.USAGE


class InputError(UsageError):
    """An input that the model cannot take: an empty prompt, an unreadable file."""


class RecipeError(UsageError):
    """A recipe or catalog file is wrong; `problems` lists every fault found in it."""

    def __init__(self, message: str, problems: tuple[str, ...] = (), hint: str | None = None):
        super().__init__("\n  ".join((message, *problems)), hint)
        self.problems = problems


class AmbiguousName(UsageError):
    """A name that several catalogs claim."""


class NotFound(ZooError):
    """No such model, variant, build, file or revision."""

    code = Exit.NOT_FOUND


class Gated(ZooError):
    """The source wants a license accepted, or a token."""

    code = Exit.GATED


class IntegrityError(ZooError):
    """Bytes differ from what was pinned or recorded."""

    code = Exit.INTEGRITY


class NoRoom(ZooError):
    """The disk cannot hold what was asked for."""

    code = Exit.NO_ROOM


class Offline(ZooError):
    """The network is needed and cannot be reached."""

    code = Exit.OFFLINE


class PluginError(ZooError):
    """A plugin is missing, broken, in conflict, or failed."""

    code = Exit.PLUGIN


class MissingPlugin(PluginError):
    """Nobody provides this family or format."""


class MissingExtra(PluginError):
    """A plugin is there, but a package that it needs is not."""


class PluginConflict(PluginError):
    """Two distributions claim the same thing."""


class BrokenPlugin(PluginError):
    """A plugin cannot be loaded, or does not keep to the hook specifications."""


class StepError(PluginError):
    """A hook failed while it worked; its exception is the `__cause__`."""


LONGEST_TEXT = 1_000


def said(error: BaseException) -> str:
    """What an exception says, on one line of bounded length, whatever its class does when asked."""
    try:
        text = " ".join(str(error).split())
    except Exception as broken:
        text = f"its message cannot be read ({type(broken).__name__})"
    return text[:LONGEST_TEXT] or "no message"
