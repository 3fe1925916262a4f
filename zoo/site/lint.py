"""The page that `zoo lint --html` writes: findings, and each layer colored by its unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from zoo.reports.findings import Effect, Finding, LintReport, Placement
from zoo.site.pages import filled

UNITS = {"ane": "Neural Engine", "gpu": "GPU", "cpu": "CPU"}
MEANING: dict[Effect, str] = {
    "silent": "wrong results, no error",
    "refused": "does not load or run",
    "slow": "leaves the Neural Engine",
    "note": "good to know",
}
DEVICES = {
    "iphone-neural-engine": "the Neural Engine of an iPhone",
    "iphone": "an iPhone",
    "gpu": "the GPU and CPU of a Mac or iPhone",
    "mac-gpu": "the GPU of a Mac",
    "mac": "a Mac",
    "any": "any Mac or iPhone",
}
MOST = 12
"""Places that are named."""


@dataclass(frozen=True)
class Share:
    """A part of a bar, in percent of its width."""

    unit: str
    start: float
    width: float


@dataclass(frozen=True)
class Bar:
    """Operations of a layer, or of all, by the unit that runs them."""

    name: str
    label: str
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class Problem:
    """One rule: what happens, what to do, and the places in each function."""

    finding: Finding
    count: int
    accepted: str
    places: tuple[tuple[Finding, str], ...]


def page(name: str, report: LintReport) -> str:
    """The whole page, for people who know none of the operations.

    Args:
        name: what was linted.
        report: what was found.
    """
    groups: dict[str, list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault(finding.id, []).append(finding)
    return filled(
        "lint.html",
        name=name,
        title=Path(name).name if Path(name).exists() else name,
        device=DEVICES.get(report.target, report.target),
        report=report,
        verdict=_verdict(groups, report),
        problems=[_problem(group, report) for group in groups.values()],
        meaning=MEANING,
        units=UNITS,
        placements=[
            (p, _bar("all layers", Counter(p.units.values())), _layers(p))
            for p in report.placements
        ],
        version=version("zoo-ml"),
    )


def _verdict(groups: Mapping[str, Sequence[Finding]], report: LintReport) -> str:
    """What was found, in one sentence."""
    open_ones = [group[0] for id, group in groups.items() if id not in report.accepted]
    counts = Counter(finding.effect for finding in open_ones)
    said = [
        f"{counts[effect]} {'problem' if counts[effect] == 1 else 'problems'}: {meaning}"
        for effect, meaning in MEANING.items()
        if counts[effect] and effect != "note"
    ]
    if said:
        return "; ".join(said) + "."
    return "No known problem." if not counts else "No known problem; see the notes below."


def _problem(group: Sequence[Finding], report: LintReport) -> Problem:
    return Problem(
        group[0],
        sum(len(finding.places) for finding in group),
        report.accepted.get(group[0].id, ""),
        tuple((finding, _places(finding)) for finding in group),
    )


def _places(finding: Finding) -> str:
    named = finding.layers or [place.op for place in finding.places]
    rest = f" and {len(named) - MOST} more" if len(named) > MOST else ""
    return ", ".join(named[:MOST]) + rest


def _layers(placement: Placement) -> list[Bar]:
    layers: dict[str, Counter[str]] = {}
    for name, unit in placement.units.items():
        layers.setdefault(placement.layers.get(name, "(no layer)"), Counter())[unit] += 1
    return [_bar(layer, counts) for layer, counts in layers.items()]


def _bar(name: str, counts: Counter[str]) -> Bar:
    total, start, shares = sum(counts.values()) or 1, 0.0, []
    for unit in UNITS:
        if counts[unit]:
            shares.append(Share(unit, start, 100 * counts[unit] / total))
            start += shares[-1].width
    label = ", ".join(f"{UNITS[unit]} {counts[unit]}" for unit in UNITS if counts[unit])
    return Bar(name, label, tuple(shares))
