"""What a lint found in a build, for any format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

Effect = Literal["silent", "refused", "slow", "note"]
"""Wrong numbers without an error; does not compile, load or run; falls back; good to know."""

EFFECTS: tuple[Effect, ...] = ("silent", "refused", "slow", "note")
"""From worst to least."""

LAYER = re.compile(r"(.*?[_.]\d+)[_.].*")
"""The part of a name up to its first number: `model_layers_3` of its layer."""


@dataclass(frozen=True)
class Place:
    """A place in a program where a rule matched.

    Attributes:
        op: name of the operation, input, state or function.
        kind: kind of the operation, such as `matmul`.
        detail: the values that triggered the rule.
        layer: the layer that it belongs to, by the names of its weights; empty if unknown.
    """

    op: str
    kind: str
    detail: str = ""
    layer: str = ""


@dataclass(frozen=True)
class Finding:
    """A device fault found in a function of a package, with every place where it occurs.

    Attributes:
        id: id of the rule, such as `N4`.
        title: the fault in a few words.
        effect: `silent` (wrong numbers without an error), `refused` (does not compile, load or
            run), `slow` (falls back to another unit) or `note`.
        outcome: what happens on the device.
        remedy: how to fix it.
        source: address of the report.
        trust: 1 reproduced or stated by the vendor, 2 measured by a project, 3 a single report.
        package: name of the package, if the build has several.
        function: name of the function.
        places: every place, at least one.
    """

    id: str
    title: str
    effect: Effect
    outcome: str
    remedy: str
    source: str
    trust: int
    package: str
    function: str
    places: tuple[Place, ...]

    @property
    def layers(self) -> list[str]:
        """The affected layers, in order."""
        return list(dict.fromkeys(place.layer for place in self.places if place.layer))

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain data, for JSON."""
        return {
            "id": self.id,
            "title": self.title,
            "effect": self.effect,
            "package": self.package,
            "function": self.function,
            "count": len(self.places),
            "operations": [place.op for place in self.places],
            "kinds": sorted({place.kind for place in self.places}),
            "detail": self.places[0].detail,
            "layers": self.layers,
            "outcome": self.outcome,
            "remedy": self.remedy,
            "source": self.source,
            "trust": self.trust,
        }


@dataclass(frozen=True)
class Placement:
    """The compute unit that is predicted for each operation of a function.

    Attributes:
        package: name of the package.
        function: name of the function.
        units: operation to predicted unit, in the order of the program.
        layers: operation to layer, where the names of the weights show it.
        kinds: operation to its kind.
        planned: operation to unit by Core ML's compute plan, if it was read.
    """

    package: str
    function: str
    units: Mapping[str, str]
    layers: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    planned: Mapping[str, str] = field(default_factory=dict)

    @property
    def switches(self) -> int:
        """Number of consecutive operations that run on different units."""
        return max(0, sum(1 for _ in groupby(self.units.values())) - 1)

    @property
    def shares(self) -> dict[str, float]:
        """Unit to the share of operations on it, from 0 to 1."""
        kinds = list(self.units.values())
        return {kind: kinds.count(kind) / len(kinds) for kind in sorted(set(kinds))}

    @property
    def compared(self) -> list[str]:
        """The operations that both the prediction and the compute plan contain."""
        return [name for name in self.units if name in self.planned]

    def differences(self) -> list[dict[str, Any]]:
        """Compare the prediction with the compute plan.

        Returns: dicts {kind, predicted, planned, count, operations} where they differ, the most
        frequent first, with at most five operations each.
        """
        found: dict[tuple[str, str, str], list[str]] = {}
        for name in self.compared:
            case = (self.kinds.get(name, "?"), self.units[name], self.planned[name])
            if case[1] != case[2]:
                found.setdefault(case, []).append(name)
        return [
            {
                "kind": kind,
                "predicted": predicted,
                "planned": planned,
                "count": len(names),
                "operations": names[:5],
            }
            for (kind, predicted, planned), names in sorted(
                found.items(), key=lambda item: -len(item[1])
            )
        ]

    def regions(self, unit: str) -> int:
        """Count the runs of consecutive operations on a unit."""
        return sum(1 for kind, _ in groupby(self.units.values()) if kind == unit)

    def to_dict(self) -> dict[str, Any]:
        """Return a summary of the placement as plain data, for JSON."""
        return {
            "package": self.package,
            "function": self.function,
            "operations": len(self.units),
            "shares": self.shares,
            "switches": self.switches,
        }


@dataclass(frozen=True)
class LintReport:
    """The findings of a lint, worst first, and the predicted placement of operations.

    Attributes:
        target: the device and unit, such as `iphone-neural-engine`.
        system: the oldest system considered, such as `ios18`; `None` for any.
        findings: a finding for each rule that matched in a function.
        placements: a placement for each function.
        accepted: id of each rule that the recipe accepts, to the reason.
    """

    target: str
    system: str | None = None
    findings: tuple[Finding, ...] = ()
    placements: tuple[Placement, ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict)

    def at_least(self, effect: Effect) -> list[Finding]:
        """Return the findings of an effect or a worse one, without accepted rules.

        Args:
            effect: `silent`, `refused`, `slow` or `note`, from worst to least.
        """
        bad = EFFECTS[: EFFECTS.index(effect) + 1]
        return [f for f in self.findings if f.effect in bad and f.id not in self.accepted]

    def summary(self) -> dict[str, Any]:
        """Return what the manifest of a build stores of the report.

        Returns: {target, system, findings: [{id, title, effect, count}], accepted: {id: reason},
        failed: [id]}; `failed` lists the silent findings that the recipe does not accept.
        """
        by_id: dict[str, list[Finding]] = {}
        for finding in self.findings:
            by_id.setdefault(finding.id, []).append(finding)
        return {
            "target": self.target,
            "system": self.system,
            "findings": [
                {
                    "id": id,
                    "title": found[0].title,
                    "effect": found[0].effect,
                    "count": sum(len(finding.places) for finding in found),
                }
                for id, found in by_id.items()
            ],
            "accepted": {id: why for id, why in self.accepted.items() if id in by_id},
            "failed": list(dict.fromkeys(finding.id for finding in self.at_least("silent"))),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return {
            "target": self.target,
            "system": self.system,
            "findings": [finding.to_dict() for finding in self.findings],
            "accepted": dict(self.accepted),
            "placement": [placement.to_dict() for placement in self.placements],
        }
