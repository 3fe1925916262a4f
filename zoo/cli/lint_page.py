"""The page that `zoo lint --html` writes: findings, and each layer colored by its unit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from html import escape

from zoo.cli.cost_page import STYLE
from zoo.findings import Effect, Finding, LintReport, Placement

COLORS = """
:root { --ane: #34a853; --gpu: #f9ab00; --cpu: #d93025; }
.units { display: flex; height: 1.1rem; border-radius: 4px; overflow: hidden; margin: .3rem 0; }
.units div { min-width: 1px; }
.ane { background: var(--ane); } .gpu { background: var(--gpu); } .cpu { background: var(--cpu); }
.legend span { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px;
  margin: 0 .4rem 0 1rem; vertical-align: middle; }
article { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin: .8rem 0; }
article h3 { margin: 0 0 .3rem; font-size: 1rem; }
.effect { font-size: .8rem; border-radius: 4px; padding: .1rem .4rem; color: #fff; }
.silent, .refused { background: #b3261e; }
.slow { background: #9a5b00; } .note { background: #5f6368; }
.verdict { font-size: 1.15rem; color: var(--ink); margin: .8rem 0; }
article details { margin: .3rem 0; } article summary { font-size: .95rem; color: var(--dim); }
a { color: var(--weights); }
td.bar { width: 50%; } code { font-size: .85rem; overflow-wrap: anywhere; }
"""
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
INTRODUCTION = (
    "An Apple device has three units that can run a model: the Neural Engine (fast, takes little "
    "power, only for some operations), the GPU and the CPU. The system divides a model among "
    "them. This page tells what is publicly known to go wrong with what is in this model's file."
)


def page(name: str, report: LintReport) -> str:
    """The whole page, for people who know none of the operations.

    Args:
        name: what was linted.
        report: what was found.
    """
    system = f" with {report.system}" if report.system else ""
    groups: dict[str, list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault(finding.id, []).append(finding)
    findings = "".join(_finding(group, report) for group in groups.values())
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: device lint</title><style>{STYLE}{COLORS}</style>"
        f"<h1>{escape(name)}</h1><p>Device lint for "
        f"{escape(DEVICES.get(report.target, report.target) + system)}</p>"
        f'<p class="verdict">{_verdict(groups, report)}</p><p>{INTRODUCTION}</p>'
        f"{findings}<h2>Where the layers are predicted to run</h2>"
        f'<p class="legend">{_legend()}</p>'
        "<p>Each bar is a layer of the model, colored by the unit that is expected to run it. "
        "It is a prediction from the file, not a measurement. Each change of unit costs time. "
        "On a Mac, Xcode's performance report shows the real plan.</p>"
        + "".join(map(_placement, report.placements))
        + "</html>\n"
    )


def _verdict(groups: Mapping[str, list[Finding]], report: LintReport) -> str:
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


def _legend() -> str:
    return "".join(f'<span class="{unit}"></span>{text}' for unit, text in UNITS.items())


def _finding(group: list[Finding], report: LintReport) -> str:
    """One rule: what happens and what to do; the places are folded away."""
    first = group[0]
    count = sum(len(finding.places) for finding in group)
    reason = report.accepted.get(first.id)
    accepted = f"<p><b>Accepted by the recipe:</b> {escape(reason)}</p>" if reason else ""
    where = "".join(
        f"<p>{escape(finding.package)}, function {escape(finding.function)}: "
        f"<code>{escape(_places(finding))}</code></p>"
        for finding in group
    )
    return (
        f'<article><h3><span class="effect {first.effect}">{MEANING[first.effect]}</span> '
        f"{escape(first.title)} <small>{first.id}</small></h3>"
        f"<p>{_code(first.outcome)}</p><p><b>Fix:</b> {_code(first.remedy)}</p>{accepted}"
        f"<details><summary>{count} {'place' if count == 1 else 'places'} in the model</summary>"
        f"{where}</details>"
        f'<p><a href="{escape(first.source, quote=True)}">where it was reported</a></p></article>'
    )


def _places(finding: Finding) -> str:
    layers = finding.layers
    named = layers or [place.op for place in finding.places]
    rest = f" and {len(named) - MOST} more" if len(named) > MOST else ""
    return ", ".join(named[:MOST]) + rest


MOST = 12
"""Places that are named."""


def _code(text: str) -> str:
    """A sentence of a rule, its names of operations set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _placement(placement: Placement) -> str:
    layers: dict[str, Counter[str]] = {}
    for name, unit in placement.units.items():
        layers.setdefault(placement.layers.get(name, "(no layer)"), Counter())[unit] += 1
    rows = "".join(
        f'<tr><td>{escape(layer)}</td><td class="bar">{_bar(counts)}</td></tr>'
        for layer, counts in layers.items()
    )
    return (
        f"<h2>{escape(placement.package)}, function {escape(placement.function)}</h2>"
        f"<p>{len(placement.units)} operations, {placement.switches} changes of unit</p>"
        f"{_bar(Counter(placement.units.values()))}<table>{rows}</table>"
    )


def _bar(counts: Counter[str]) -> str:
    total = sum(counts.values()) or 1
    parts = "".join(
        f'<div class="{unit}" style="width:{100 * counts[unit] / total:.1f}%" '
        f'title="{UNITS[unit]}: {counts[unit]}"></div>'
        for unit in UNITS
        if counts[unit]
    )
    label = ", ".join(f"{UNITS[unit]} {counts[unit]}" for unit in UNITS if counts[unit])
    return f'<div class="units" role="img" aria-label="{label}">{parts}</div>'
