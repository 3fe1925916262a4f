"""Progress as data: the pipeline reports, a listener displays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["start", "update", "done", "cached", "note"]


@dataclass(frozen=True)
class Event:
    """Something that happened in a step.

    `done` and `total` count `unit`s: bytes when the unit is "B", else whatever the unit names.
    """

    step: str
    state: State
    done: int = 0
    total: int | None = None
    unit: str = "B"
    message: str = ""


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that displays nothing."""


@dataclass(frozen=True)
class Progress:
    """What a hook is given to tell how far it is."""

    step: str
    listener: Listener = silent

    def update(self, done: int, total: int | None = None, unit: str = "B") -> None:
        """`done` of `total` units are through."""
        self.listener(Event(self.step, "update", done, total, unit))

    def note(self, message: str) -> None:
        """Say something that the person should read."""
        self.listener(Event(self.step, "note", message=message))
