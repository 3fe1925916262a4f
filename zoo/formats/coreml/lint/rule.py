"""What a rule is, and which devices it holds for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.formats.coreml.lint.targets import Device, Target, Unit
from zoo.reports.findings import Effect
from zoo.reports.findings import Place as Match

if TYPE_CHECKING:
    from zoo.formats.coreml.lint.graph import Function, Graph

GENERATIONS = {"coreml5": 15, "coreml6": 16, "coreml7": 17, "coreml8": 18, "coreml9": 26}
"""The generation of systems that came with an opset, counted as iOS does."""


Matcher = Callable[["Function", "Graph", Target], Iterable[Match]]


@dataclass(frozen=True)
class Rule:
    """A fault that is known to occur.

    Attributes:
        id: stable name, such as `N4`.
        title: the fault in a few words.
        pattern: what the program has.
        effect: how bad it is.
        outcome: what happens.
        remedy: what to do.
        source: where it was reported.
        trust: 1 reproduced or stated by Apple, 2 measured by a shipping project, 3 one report.
        match: finds it in a function.
        units, devices: what it holds for.
        since, until: generations of systems that it holds for.
    """

    id: str
    title: str
    pattern: str
    effect: Effect
    outcome: str
    remedy: str
    source: str
    trust: int
    match: Matcher
    units: tuple[Unit, ...] = ("ane", "gpu", "cpu")
    devices: tuple[Device, ...] = ("iphone", "mac")
    since: int | None = None
    until: int | None = None

    def holds_for(self, target: Target) -> bool:
        """Whether a target may meet the fault."""
        oldest = target.generation or target.oldest
        return (
            bool(target.units & set(self.units))
            and bool(target.devices & set(self.devices))
            and (target.generation is None or target.generation >= (self.since or 0))
            and (oldest is None or oldest <= (self.until or 10_000))
        )


__all__ = ["GENERATIONS", "Device", "Effect", "Match", "Matcher", "Rule", "Target", "Unit"]
