"""The page that `zoo lint --html` writes: findings, and each layer colored by its unit."""

from __future__ import annotations

from collections import Counter
from html import escape

from zoo.cli.cost_page import STYLE
from zoo.findings import LAYER, Finding, LintReport, Placement

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
td.bar { width: 50%; } code { font-size: .85rem; overflow-wrap: anywhere; }
"""
UNITS = {"ane": "Neural Engine", "gpu": "GPU", "cpu": "CPU"}
MEANING = {
    "silent": "wrong results, no error",
    "refused": "does not load or run",
    "slow": "leaves the Neural Engine",
    "note": "good to know",
}


def page(name: str, report: LintReport) -> str:
    """The whole page.

    Args:
        name: what was linted.
        report: what was found.
    """
    where = f"{report.target}{f', {report.system}' if report.system else ''}"
    findings = "".join(map(_finding, report.findings)) or "<p>No known fault.</p>"
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: device lint</title><style>{STYLE}{COLORS}</style>"
        f"<h1>{escape(name)}</h1><p>Device lint for {escape(where)}</p>"
        f"<h2>{len(report.findings)} findings</h2>{findings}"
        "<h2>Where the layers are predicted to run</h2>"
        f'<p class="legend">{_legend()}</p>'
        "<p>A prediction from the program, not a measurement. On a Mac, Xcode's performance report "
        "shows the real plan.</p>" + "".join(map(_placement, report.placements)) + "</html>\n"
    )


def _legend() -> str:
    return "".join(f'<span class="{unit}"></span>{text}' for unit, text in UNITS.items())


def _finding(finding: Finding) -> str:
    places = ", ".join(finding.layers[:12]) or ", ".join(p.op for p in finding.places[:6])
    many = f"{len(finding.places)} places" if len(finding.places) > 1 else "1 place"
    return (
        f'<article><h3><span class="effect {finding.effect}">{MEANING[finding.effect]}</span> '
        f"{escape(finding.title)} <small>{finding.id}</small></h3>"
        f"<p>{escape(finding.outcome)}</p><p><b>Fix:</b> {escape(finding.remedy)}</p>"
        f"<p>{many} in {escape(finding.package)}, function {escape(finding.function)}: "
        f"<code>{escape(places)}</code></p>"
        f'<p><a href="{escape(finding.source, quote=True)}">where it was reported</a></p></article>'
    )


def _placement(placement: Placement) -> str:
    layers: dict[str, Counter[str]] = {}
    for name, unit in placement.units.items():
        match = LAYER.match(name)
        layers.setdefault(match[1] if match else "(other)", Counter())[unit] += 1
    rows = "".join(
        f'<tr><td>{escape(layer)}</td><td class="bar">{_bar(counts)}</td></tr>'
        for layer, counts in layers.items()
    )
    return (
        f"<h2>{escape(placement.package)}, function {escape(placement.function)}</h2>"
        f"<p>{len(placement.units)} operations, {placement.switches} switches between units</p>"
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
