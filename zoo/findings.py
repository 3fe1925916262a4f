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
    """One place where a fault was found.

    Attributes:
        op: name of the operation, or of what else it concerns, such as an input.
        kind: kind of the operation.
        detail: the values that were read, for the message.
        layer: the layer of the model that it is in, by the names of its weights; empty where they
            do not tell.
    """

    op: str
    kind: str
    detail: str = ""
    layer: str = ""


@dataclass(frozen=True)
class Finding:
    """A fault, in all places of one function.

    Attributes:
        id: of the rule, such as `N4`.
        title: the fault in a few words.
        effect: how bad it is.
        outcome: what happens.
        remedy: what to do.
        source: where it was reported.
        trust: 1 reproduced or stated by the vendor, 2 measured by a project, 3 one report.
        package: name of the package, where a build has several.
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
        """The layers that it concerns, in order."""
        return list(dict.fromkeys(place.layer for place in self.places if place.layer))

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
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
    """Where the operations of one function are predicted to run.

    Attributes:
        package, function: which.
        units: the predicted unit of each operation, by name and in order.
        layers: the layer of each operation whose weights, or whose readers' weights, tell it.
        kinds: the kind of each operation.
        planned: the unit of each operation by the system's own plan, where that was asked for.
    """

    package: str
    function: str
    units: Mapping[str, str]
    layers: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    planned: Mapping[str, str] = field(default_factory=dict)

    @property
    def switches(self) -> int:
        """How often two consecutive operations run on different units."""
        return max(0, sum(1 for _ in groupby(self.units.values())) - 1)

    @property
    def shares(self) -> dict[str, float]:
        """The share of operations on each unit, from 0 to 1."""
        kinds = list(self.units.values())
        return {kind: kinds.count(kind) / len(kinds) for kind in sorted(set(kinds))}

    @property
    def compared(self) -> list[str]:
        """The operations that both the prediction and the plan have."""
        return [name for name in self.units if name in self.planned]

    def differences(self) -> list[dict[str, Any]]:
        """Where prediction and plan differ, by kind of operation, the most frequent first.

        Returns: {kind, predicted, planned, count, operations}, at most five operations each.
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
        """How many runs of consecutive operations are on a unit."""
        return sum(1 for kind, _ in groupby(self.units.values()) if kind == unit)

    def to_dict(self) -> dict[str, Any]:
        """The prediction as JSON."""
        return {
            "package": self.package,
            "function": self.function,
            "operations": len(self.units),
            "shares": self.shares,
            "switches": self.switches,
        }


@dataclass(frozen=True)
class LintReport:
    """The findings for a target, worst first, and the predicted placement.

    Attributes:
        target: what it was linted for.
        system: the system, such as `ios18`, or `None` for any.
        findings: every rule that matched.
        placements: one for each function.
        accepted: ids of rules that the recipe accepts, each with its reason.
    """

    target: str
    system: str | None = None
    findings: tuple[Finding, ...] = ()
    placements: tuple[Placement, ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict)

    def at_least(self, effect: Effect) -> list[Finding]:
        """The findings that are as bad as `effect` or worse, without accepted ones."""
        bad = EFFECTS[: EFFECTS.index(effect) + 1]
        return [f for f in self.findings if f.effect in bad and f.id not in self.accepted]

    def summary(self) -> dict[str, Any]:
        """What the manifest of a build keeps of the report.

        Returns: {target, system, findings: [{id, title, effect, count}], accepted: {id: reason},
        failed: [id]}; `failed` has the silent findings that nobody accepted.
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
        """The report as JSON."""
        return {
            "target": self.target,
            "system": self.system,
            "findings": [finding.to_dict() for finding in self.findings],
            "accepted": dict(self.accepted),
            "placement": [placement.to_dict() for placement in self.placements],
        }
