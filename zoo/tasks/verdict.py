"""Verdicts: the figures of a check held against the recipe's limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from zoo.tasks.task import Task


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check.

    Attributes:
        status: `passed`, `failed`, `measured` (no limits apply) or `not run`.
        reason: why, in a sentence.
        metrics: metric to value. Metrics of an adapter begin with its name, as in `pirate:top1`.
        limits: metric to limit.
        tools: package to version, of what was compared.
        inputs: input file to its SHA-256.
        why: why no check was run: `skipped` on request, `source` if the build is the source itself,
            or `unable` if it cannot run here.
        lint: summary of the lint, as from `LintReport.summary`; empty without one.
    """

    status: Literal["passed", "failed", "measured", "not run"]
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    tools: dict[str, str | None] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    why: Literal["", "skipped", "source", "unable"] = ""
    lint: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain data, for JSON."""
        return asdict(self)

    def by_adapter(self) -> dict[str, dict[str, float]]:
        """Group the metrics by adapter. Those without an adapter are under ""."""
        groups: dict[str, dict[str, float]] = {"": {}}
        for name, value in self.metrics.items():
            adapter, _, figure = name.rpartition(":")
            groups.setdefault(adapter, {})[figure] = value
        return groups

    def lines(self) -> list[str]:
        """Format the verdict as text: the result, then a line for each adapter."""
        first, *others = (
            (adapter, ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
            for adapter, figures in self.by_adapter().items()
        )
        said = " - ".join(part for part in (self.status, self.reason, first[1]) if part)
        return [said, *(f"with the adapter {name} - {figures}" for name, figures in others)]

    def _repr_html_(self) -> str:
        from zoo.display.tables import grid

        rows = [(k, f"{v:.4g}", self.limits.get(k.rpartition(":")[2], "")) for k, v in
                self.metrics.items()]  # fmt: skip
        return f"<p>{self.status}</p>{grid(('figure', 'value', 'limit'), rows)}"

    def __str__(self) -> str:
        figures = ", ".join(f"{k} {v:.4g}" for k, v in self.metrics.items())
        return " - ".join(part for part in (self.status, self.reason, figures) if part)


def judge(
    task: Task,
    metrics: dict[str, float],
    limits: dict[str, float],
    tools: dict[str, str | None],
) -> Verdict:
    """Hold figures of a task against limits; a figure that is not a number fails, limited or not.

    Figures of a build with an adapter begin with its name, as in `pirate:top1`.
    """
    broken = [f"{name} was not measured" for name in limits if name not in metrics]
    for figure, value in metrics.items():
        name = figure.rpartition(":")[2]
        if isnan(value) and name not in limits:
            broken.append(f"{figure} is not a number")
        if name not in limits:
            continue
        limit = limits[name]
        if not task.holds(name, value, limit):
            broken.append(f"{figure} is {value:.4g}, must be {task.better(name)} {limit:g}")
    status: Literal["passed", "failed"] = "failed" if broken else "passed"
    return Verdict(status, "; ".join(broken), metrics, limits, tools)
