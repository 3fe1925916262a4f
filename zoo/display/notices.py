"""What Python callers see on stderr: notes, and a line of progress where it can be seen."""

from __future__ import annotations

import sys
import time

from zoo.progress import Event
from zoo.words import harmless, human

EVERY = 0.2
"""Seconds between two states of the line."""


class Notices:
    """The listener of Python callers.

    In a terminal and in a notebook a step that takes time has a line that is written over;
    elsewhere only notes are printed.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._length = 0

    def __call__(self, event: Event) -> None:
        if event.state == "note":
            self._clear()
            print(f"zoo: {harmless(event.message)}", file=sys.stderr)
        elif event.state == "update" and is_watched() and time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self._write(f"zoo: {event.step} {_figures(event)}")
        elif event.state in ("done", "cached"):
            self._clear()

    def _write(self, text: str) -> None:
        text = harmless(text)
        print(f"\r{text.ljust(self._length)}", end="", file=sys.stderr, flush=True)
        self._length = len(text)

    def _clear(self) -> None:
        if self._length:
            print(f"\r{' ' * self._length}\r", end="", file=sys.stderr, flush=True)
            self._length = 0


def is_watched() -> bool:
    """Whether somebody sees stderr while the program runs: a terminal, or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _figures(event: Event) -> str:
    if event.unit == "B":
        done, total = human(event.done), human(event.total)
    else:
        done, total = f"{event.done}", f"{event.total} {event.unit}"
    if event.total is None:
        return done
    share = f" ({100 * event.done // event.total} %)" if event.total else ""
    return f"{done} of {total}{share}"
