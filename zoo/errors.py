"""The exceptions of `zoo`. Each has a message of one sentence, a hint and an exit code."""

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
    """The base class of all errors that a user can fix.

    Args:
        message: one sentence that names the object and the reason.
        hint: how to fix it on the command line, if known.
        in_python: how to fix it in Python, if that differs; tracebacks show it.

    Attributes:
        code: the exit code of the command line.
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
    """A build differs from its source by more than its limits allow."""


class DoesNotFit(ZooError):
    """A model needs more memory than this machine has."""


class InUse(ZooError):
    """An artifact cannot be removed while a process uses it."""


class Inaccessible(ZooError):
    """The operating system denies access to a file, a folder or a disk."""


class UsageError(ZooError):
    """The arguments of the call or command are invalid."""

    code = Exit.USAGE


class InputError(UsageError):
    """An input is invalid: an empty prompt, an unreadable file, an unknown option."""


class RecipeError(UsageError):
    """A recipe or catalog file is invalid; `problems` lists every error in it."""

    def __init__(self, message: str, problems: tuple[str, ...] = (), hint: str | None = None):
        super().__init__("\n  ".join((message, *problems)), hint)
        self.problems = problems


class AmbiguousName(UsageError):
    """Several catalogs have a model of this name."""


class NotFound(ZooError):
    """No such model, variant, build, file or revision."""

    code = Exit.NOT_FOUND


class Gated(ZooError):
    """The source is gated: it requires an accepted license or a token."""

    code = Exit.GATED


class IntegrityError(ZooError):
    """A file differs from its pinned or recorded hash, or is damaged or not supported."""

    code = Exit.INTEGRITY


class NoRoom(ZooError):
    """There is not enough disk space or memory."""

    code = Exit.NO_ROOM


class Offline(ZooError):
    """A download is needed, but the network or the Hub is not available."""

    code = Exit.OFFLINE


class PluginError(ZooError):
    """A plugin is missing, broken or in conflict with another one, or it failed."""

    code = Exit.PLUGIN


class MissingPlugin(PluginError):
    """No installed plugin provides this family or format."""


class MissingExtra(PluginError):
    """A plugin is installed, but a package that it requires is not."""


class PluginConflict(PluginError):
    """Several distributions provide the same entry point."""


class BrokenPlugin(PluginError):
    """A plugin cannot be loaded, or does not match the hook specifications."""


class StepError(PluginError):
    """A hook failed; the exception that it raised is the `__cause__`."""


LONGEST_TEXT = 1_000


def said(error: BaseException) -> str:
    """What an exception says, on one line of bounded length, whatever its class does when asked."""
    try:
        text = " ".join(str(error).split())
    except Exception as broken:
        text = f"its message cannot be read ({type(broken).__name__})"
    return text[:LONGEST_TEXT] or "no message"
