"""What it takes to make and run a build, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan: who does it, how many bytes it leaves, and whether it is done."""

    name: str
    provider: str
    done: bool
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What it takes to make and run a build; pure data, found without network or plugin code."""

    ref: str
    build: str
    format: str
    pinned: bool
    steps: tuple[PlannedStep, ...]
    memory: int
    missing: tuple[str, ...]
    install: str

    @property
    def bytes_needed(self) -> int:
        """Bytes that the steps still to do will leave on disk."""
        return sum(step.bytes for step in self.steps if not step.done)
