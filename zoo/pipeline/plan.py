"""What it takes to make and run a build, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from zoo.words import human


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

    def __repr__(self) -> str:
        todo = [step.name for step in self.steps if not step.done]
        return f"<Plan {self.ref}/{self.build}: {', '.join(todo)}, {human(self.bytes_needed)}>"

    def _repr_html_(self) -> str:
        from zoo.tables import grid

        rows = [
            (s.name, s.provider, "done" if s.done else "to do", human(s.bytes)) for s in self.steps
        ]
        return grid(("step", "by", "state", "bytes"), rows)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {**asdict(self), "bytes_needed": self.bytes_needed}

    @property
    def bytes_needed(self) -> int:
        """Bytes that the steps still to do will leave on disk."""
        return sum(step.bytes for step in self.steps if not step.done)
