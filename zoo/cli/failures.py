"""From exceptions to one sentence, one hint and an exit code."""

from __future__ import annotations

import os
import sys

import click

from zoo.cli import output
from zoo.errors import Exit, ZooError


def tell(error: BaseException) -> int:
    """Say on stderr what went wrong; the exit code for it."""
    if isinstance(error, ZooError):
        _say(error.message, error.hint)
        return error.code
    if isinstance(error, (KeyboardInterrupt, click.Abort, EOFError)):
        output.note("interrupted; nothing half-made was left")
        return Exit.INTERRUPTED
    if isinstance(error, click.ClickException):
        _say(error.format_message(), _usage_hint(error))
        return error.exit_code
    if isinstance(error, OSError):
        from zoo.files.room import full

        if (no_room := full(error)) is not None:
            return tell(no_room)
    text = " ".join(str(error).split()) or "no message"
    _say(f"unexpected {type(error).__name__}: {text}", "zoo --debug ... shows where it comes from")
    return Exit.NEGATIVE


def trace(error: BaseException) -> None:
    """The traceback of an error, on stderr; a mistake in the command line has none to show."""
    import traceback

    if not isinstance(error, (click.ClickException, click.Abort)):
        traceback.print_exception(error)


def close_stdout() -> None:
    """Keep the interpreter from complaining at exit that nobody reads its output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str, hint: str | None) -> None:
    output.warn(f"error: {message}")
    if hint:
        output.warn(f"hint: {hint}")


def _usage_hint(error: click.ClickException) -> str | None:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"see {error.ctx.command_path} --help"
    return None
