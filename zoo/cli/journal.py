"""What a command did and when, line by line: for `--verbose` on stderr, for `--log` in a file."""

from __future__ import annotations

import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path

from zoo.display.redaction import redacted
from zoo.errors import UsageError, said
from zoo.files.safe_folder import write_all
from zoo.progress import Event, Listener
from zoo.words import harmless

OPENED = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC


class Journal:
    """A log file of a command. Each line has the time, and the process that wrote it.

    Args:
        path: the file, which is appended to.

    Raises:
        UsageError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._full = False
        try:
            # A pipe that nobody reads is an error at once, and not waited for.
            handle = os.open(path, OPENED, 0o666)
            os.set_blocking(handle, True)
            self._file = FileIO(handle, "a")
        except (OSError, ValueError) as error:
            raise UsageError(
                f"the log file {path} cannot be written: {said(error)}",
                "give another with --log or ZOO_LOG",
            ) from error

    def write(self, text: str) -> None:
        """Append a line, or several. A disk that is full does not end the command."""
        if self._full:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        lines = [f"{stamp} {os.getpid()} {line}\n" for line in harmless(redacted(text)).split("\n")]
        try:
            write_all(self._file, "".join(lines).encode(errors="backslashreplace"))
        except OSError as error:
            print(f"zoo: the log file cannot be written: {said(error)}", file=sys.stderr)
            self._full = True

    def begin(self, arguments: Sequence[str]) -> None:
        """Write the command line and the version."""
        from zoo import __version__

        self.write(f"zoo {__version__}: zoo {shlex.join(arguments)}")

    def error(self, error: BaseException) -> None:
        """Write an error with its traceback, which only `--debug` prints."""
        self.write("".join(traceback.format_exception(error)).rstrip())

    def end(self, code: int) -> None:
        """Write the exit code, and close the file."""
        self.write(f"exit code {int(code)}")
        self._file.close()


class Steps:
    """A listener that says what each step did, and how long it took.

    Args:
        say: receives the lines.
        inner: receives the events first.
        notes: whether notes are said as well.
    """

    def __init__(self, say: Callable[[str], None], inner: Listener, *, notes: bool) -> None:
        self._say, self.inner, self._notes = say, inner, notes
        self._began: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        self.inner(event)
        match event.state:
            case "start":
                self._began[event.step] = time.monotonic()
            case "done":
                began = self._began.pop(event.step, None)
                took = "" if began is None else f" in {time.monotonic() - began:.1f} s"
                self._say(f"{event.step} done{took}{_after(event.message)}")
            case "cached":
                self._say(f"{event.step} is done already{_after(event.message)}")
            case "note" if self._notes:
                self._say(f"{event.step}: {event.message}")


def _after(message: str) -> str:
    return f": {message}" if message else ""
