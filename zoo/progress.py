"""Progress as data: the pipeline reports, a listener displays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["start", "update", "done", "cached", "note"]


@dataclass(frozen=True)
class Event:
    """A progress report of a step.

    Attributes:
        step: the step, such as `download` or `convert`.
        state: `start`, `update`, `done`, `cached` (the result exists already) or `note`.
        done: number of units processed.
        total: number of units in all, if known.
        unit: what `done` and `total` count; "B" for bytes.
        message: the text of a note.
    """

    step: str
    state: State
    done: int = 0
    total: int | None = None
    unit: str = "B"
    message: str = ""


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that ignores every event."""


@dataclass(frozen=True)
class Progress:
    """Reports the progress of a step to a listener. Hooks receive one.

    Attributes:
        step: the step that is reported.
        listener: called with every `Event`.
    """

    step: str
    listener: Listener = silent

    def update(self, done: int, total: int | None = None, unit: str = "B") -> None:
        """Report that `done` of `total` units are processed.

        Args:
            done: number of units processed so far.
            total: number of units in all, if known.
            unit: what is counted; "B" for bytes.
        """
        self.listener(Event(self.step, "update", done, total, unit))

    def note(self, message: str) -> None:
        """Report a message for the user."""
        self.listener(Event(self.step, "note", message=message))
