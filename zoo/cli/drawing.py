"""Progress on stderr: bars on a terminal, a line now and then elsewhere, notes always."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from zoo.cli.output import note, one_line
from zoo.progress import Event
from zoo.words import human

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from zoo.progress import Listener

EVERY = 2.0
WINDOW = 10.0


@contextmanager
def drawing(quiet: bool = False) -> Iterator[Listener]:
    """A listener that shows what happens, until the block ends."""
    with _shown(quiet) as listener:
        yield _noted(listener)


def _noted(listener: Listener) -> Listener:
    """The listener, with what `--verbose` prints and `--log` writes of the steps."""
    context = click.get_current_context(silent=True)
    settings = context.find_root().obj if context else None
    if settings is None or not (settings.verbose or settings.journal):
        return listener
    from zoo.cli.journal import Steps

    if settings.verbose:
        shown = listener
        if isinstance(shown, Lines):
            shown.ends = False
        listener = Steps(
            lambda line: shown(Event(line.split()[0], "note", message=line)), shown, notes=False
        )
    if settings.journal:
        listener = Steps(settings.journal.write, listener, notes=True)
    return listener


@contextmanager
def _shown(quiet: bool) -> Iterator[Listener]:
    if quiet:
        yield notes_only
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        terminal = Terminal()
        try:
            yield terminal
        finally:
            terminal.close()
    else:
        yield Lines()


@contextmanager
def hidden(listener: Listener) -> Iterator[None]:
    """The bars of `drawing` out of the way of what is written to stdout meanwhile.

    What is written ends in a line break, for the bars come back where the cursor is.
    """
    while not isinstance(listener, Terminal) and hasattr(listener, "inner"):
        listener = listener.inner
    if isinstance(listener, Terminal):
        with listener.hidden():
            yield
    else:
        yield


def notes_only(event: Event) -> None:
    """The listener of `--quiet`."""
    if event.state == "note":
        note(one_line(event.message))


def figures(event: Event) -> str:
    """How far a step is, such as `12.3 MB of 5.0 GB`."""
    if event.unit == "B":
        done = human(event.done)
        return done if event.total is None else f"{done} of {human(event.total)}"
    total = "" if event.total is None else f" of {event.total}"
    return f"{event.done}{total} {event.unit}"


class Pace:
    """How fast the bytes of a step come, over the last few seconds, and how long it will take."""

    def __init__(self) -> None:
        self.seen: dict[str, deque[tuple[float, int]]] = {}

    def figures(self, event: Event) -> str:
        """How far a step is, with rate and time left once they are known."""
        text = figures(event)
        if event.unit != "B":
            return text
        now = time.monotonic()
        seen = self.seen.setdefault(event.step, deque())
        if seen and event.done < seen[-1][1]:
            seen.clear()  # some of it was thrown away
        seen.append((now, event.done))
        while now - seen[0][0] > WINDOW and len(seen) > 2:
            seen.popleft()
        seconds, count = now - seen[0][0], event.done - seen[0][1]
        if seconds < 0.5 or count <= 0:
            return text
        rate = count / seconds
        left = (
            "" if event.total is None else f", {duration((event.total - event.done) / rate)} left"
        )
        return f"{text}, {human(rate)}/s{left}"


def duration(seconds: float) -> str:
    """A time for people: `2 min 5 s`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Lines:
    """Plain lines, for logs and pipes.

    Attributes:
        ends: whether the end of a step is a line too.
    """

    def __init__(self) -> None:
        self.ends = True
        self.last = -EVERY
        self.pace = Pace()

    def __call__(self, event: Event) -> None:
        if event.state == "note":
            note(one_line(event.message))
        elif event.state == "start":
            note(event.step)
        elif event.state == "done" and self.ends:
            note(f"{event.step} done")
        elif event.state == "update" and time.monotonic() - self.last >= EVERY:
            self.last = time.monotonic()
            note(f"{event.step} {self.pace.figures(event)}")


class Terminal:
    """A bar for each step; nothing appears before the first step starts."""

    def __init__(self) -> None:
        self.bars: Bars | None = None
        self.pace = Pace()
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if event.state == "note":
            self._note(one_line(event.message))
        elif event.state in ("start", "update"):
            self._update(event)
        elif event.state == "done" and self.bars and event.step in self.tasks:
            self.bars.update(self.tasks[event.step], total=1, completed=1, figures="done")

    def close(self) -> None:
        """Leave the bars as they are and give the terminal back."""
        if self.bars is not None:
            self.bars.stop()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Nothing is displayed until the block ends."""
        if self.bars is None:
            yield
            return
        self.bars.live.transient = True
        self.bars.stop()
        yield
        self.bars.live.transient = False
        self.bars.start()

    def _note(self, text: str) -> None:
        if self.bars is None:
            note(text)
        else:
            self.bars.console.print(f"zoo: {text}", markup=False, highlight=False)

    def _update(self, event: Event) -> None:
        if self.bars is None:
            self.bars = _bars()
        if event.step not in self.tasks:
            self.tasks[event.step] = self.bars.add_task(event.step, total=None, figures="")
        if event.state == "update":
            self.bars.update(
                self.tasks[event.step],
                completed=event.done,
                total=event.total,
                figures=self.pace.figures(event),
            )


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file or a pipe is no drawing
    )
    bars.start()
    return bars
