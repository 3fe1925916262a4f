"""What it takes to make and run a build, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from zoo.words import human


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan.

    Attributes:
        name: the step, such as `download` or `convert`.
        provider: the plugin that runs it.
        done: whether its result is in the store.
        bytes: size of its result on disk, estimated unless it is done.
    """

    name: str
    provider: str
    done: bool
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What it takes to make and run a build, found without network access or plugin code.

    Attributes:
        ref: the full reference of the model.
        build: the name of the build.
        format: the format of the build.
        pinned: whether the recipe or `zoo.lock` pins every byte of the source.
        steps: the steps in order, done or to do.
        memory: estimated memory to run the build, in bytes.
        missing: packages that a plugin requires and that are not installed.
        install: the command that installs them; empty when none is missing.
    """

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
        from zoo.display.tables import grid

        rows = [
            (s.name, s.provider, "done" if s.done else "to do", human(s.bytes)) for s in self.steps
        ]
        return grid(("step", "by", "state", "bytes"), rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, for JSON."""
        return {**asdict(self), "bytes_needed": self.bytes_needed}

    @property
    def bytes_needed(self) -> int:
        """Bytes on disk that the remaining steps need."""
        return sum(step.bytes for step in self.steps if not step.done)
