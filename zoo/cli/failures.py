"""From exceptions to one sentence, one hint and an exit code."""

from __future__ import annotations

import os
import sys

import click

from zoo.cli import output
from zoo.display import interrupt
from zoo.errors import Exit, NoRoom, PluginError, ZooError, said

LONGEST = 2_000
"""Characters of a message; what a stranger's file or package says may be megabytes."""


def tell(error: BaseException) -> int:
    """Print the error on stderr; the exit code for it."""
    ended = isinstance(error, (click.Abort, EOFError)) or interrupt.pressed(error)
    if ended or interrupt.received():
        kept = getattr(error, "__notes__", ["no partial result was left"])
        output.note(f"interrupted; {'; '.join(kept)}")
        return Exit.INTERRUPTED
    if isinstance(error, ZooError):
        _say(error.message, error.hint)
        return error.code
    if isinstance(error, click.ClickException):
        _say(error.format_message(), _usage_hint(error))
        return error.exit_code
    if (known := _known(error)) is not None:
        return tell(known)
    _say(
        f"unexpected {type(error).__name__}: {said(error)}",
        "run again with --debug to see where it comes from",
    )
    return Exit.NEGATIVE


def raised(error: BaseException) -> BaseException:
    """The exception that was raised, where click made its own of it."""
    return (error.__cause__ or error) if isinstance(error, click.Abort) else error


def trace(error: BaseException) -> None:
    """The traceback of an error, on stderr, without secrets; a mistake in the command line has none
    to show."""
    import traceback

    if not isinstance(error, (click.ClickException, click.Abort)) and not interrupt.pressed(error):
        output.warn("".join(traceback.format_exception(error)).rstrip())


def close_stdout() -> None:
    """Keep the interpreter from complaining at exit that its output cannot be written."""
    for handle in {1, sys.stdout.fileno()}:
        os.dup2(os.open(os.devnull, os.O_WRONLY), handle)


def _known(error: BaseException) -> ZooError | None:
    """What is behind an exception that no code of ours has planned for, if that is known."""
    if isinstance(error, MemoryError):
        return NoRoom("this needs more memory than is available", "give a smaller input or model")
    from zoo.files import system
    from zoo.hooks.culprit import culprit
    from zoo.registry.distributions import damage

    if (broken := damage(error)) is not None:
        return broken

    if isinstance(error, OSError) and error.errno in system.MACHINE:
        return system.explain(error)
    if (name := culprit(error)) is not None:
        return PluginError(
            f"{name} failed: {type(error).__name__}: {said(error)}",
            "run again with --debug to see where; report it to its makers",
        )
    return system.explain(error) if isinstance(error, OSError) else None


def _say(message: str, hint: str | None) -> None:
    if len(message) > LONGEST:
        message = f"{message[:LONGEST]}... ({len(message)} characters)"
    output.warn(f"error: {message}")
    if hint:
        output.warn(f"hint: {hint[:LONGEST]}")


def _usage_hint(error: click.ClickException) -> str | None:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"see {error.ctx.command_path} --help"
    return None
