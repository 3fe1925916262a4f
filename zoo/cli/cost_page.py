"""The page that `zoo cost --html` writes: one file, without scripts, that a browser opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from zoo.cli import facts
from zoo.costs import Cost, Operation
from zoo.words import human

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --dim: #6e6e73; --line: #d2d2d7; --paper: #fff;
  --weights: #0071e3; --flops: #bf4800; }
@media (prefers-color-scheme: dark) { :root { --ink: #f5f5f7; --dim: #a1a1a6; --line: #424245;
  --paper: #161617; --weights: #2997ff; --flops: #ff9f0a; } }
body { margin: 2rem auto; padding: 0 1rem; max-width: 64rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 -apple-system, system-ui, "Segoe UI", sans-serif; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.1rem; }
p { margin: .2rem 0; color: var(--dim); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 1.5rem 0; }
dt { color: var(--dim); } dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { color: var(--dim); font-weight: normal; text-align: left; }
th, td { padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
td.number, th.number { text-align: right; }
td.bar { width: 28%; min-width: 8rem; padding-right: 0; }
td.bar div { height: .55rem; margin: 2px 0; border-radius: 2px; min-width: 1px; }
.weights { background: var(--weights); } .flops { background: var(--flops); }
.key span { display: inline-block; width: .8rem; height: .55rem; border-radius: 2px;
  margin: 0 .4rem 0 1rem; }
details { margin-top: 2.5rem; overflow-x: auto; } summary { cursor: pointer; font-size: 1.1rem; }
"""
KEY = (
    '<p class="key"><span class="weights"></span>weights on disk'
    '<span class="flops"></span>arithmetic; each bar against the longest of its color</p>'
)

Cell = Callable[[Operation], str]


def page(name: str, cost: Cost) -> str:
    """The whole page.

    Args:
        name: what was asked for.
        cost: what to draw.
    """
    total = cost.total
    tiles = (
        ("parameters", facts.count(total.parameters)),
        ("weights", human(total.weight_bytes)),
        ("bits per weight", facts.bits(total)),
        ("traffic", human(total.activation_bytes)),
        ("arithmetic", f"{facts.count(total.flops)} FLOPs"),
        ("operations", f"{total.count:,}"),
    )
    several = len({operation.part for operation in cost.operations}) > 1
    where: list[tuple[str, Cell]] = [("part", lambda o: o.part)] if several else []
    measured = any(operation.device for operation in cost.operations)
    plan: list[tuple[str, Cell]] = [("device", _device)] if measured else []
    layers = [*where, ("layer", lambda o: o.name), *NUMBERS, *plan]
    kinds: list[tuple[str, Cell]] = [("kind", lambda o: o.name), ("count", _count), *NUMBERS, *plan]
    each = [*where, ("layer", lambda o: o.layer), ("operation", lambda o: o.name)]
    each += [("kind", lambda o: o.kind), *NUMBERS, *plan]
    shown = "".join(f"<div><dt>{key}</dt><dd>{text}</dd></div>" for key, text in tiles)
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(name)}: cost</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(name)}</h1><p>{escape(cost.case)}</p>",
            f"<dl>{shown}</dl>",
            f"<h2>By layer</h2>{KEY}{_table(cost.by_layer(), layers)}",
            f"<h2>By kind of operation</h2>{KEY}{_table(cost.by_kind(), kinds)}",
            f"<details><summary>Every operation</summary>{_table(cost.operations, each)}</details>",
            "</body></html>\n",
        )
    )


def _count(operation: Operation) -> str:
    return f"{operation.count:,}"


def _device(operation: Operation) -> str:
    share = "" if operation.share is None else f" {operation.share:.1%}"
    return f"{operation.device or ''}{share}"


NUMBERS: list[tuple[str, Cell]] = [
    ("parameters", lambda o: facts.count(o.parameters) if o.parameters else "-"),
    ("bits", facts.bits),
    ("weights", lambda o: human(o.weight_bytes) if o.weight_bytes else "-"),
    ("traffic", lambda o: human(o.activation_bytes) if o.activation_bytes else "-"),
    ("FLOPs", lambda o: facts.count(o.flops) if o.flops else "-"),
]
TITLES = {title for title, _ in NUMBERS} | {"count"}


def _table(rows: Sequence[Operation], columns: Sequence[tuple[str, Cell]]) -> str:
    heaviest = max((row.weight_bytes for row in rows), default=0) or 1
    busiest = max((row.flops for row in rows), default=0) or 1
    head = "".join(f"<th{_number(title)}>{title}</th>" for title, _ in columns)
    body = []
    for row in rows:
        cells = "".join(f"<td{_number(title)}>{escape(cell(row))}</td>" for title, cell in columns)
        bars = _bar("weights", row.weight_bytes / heaviest) + _bar("flops", row.flops / busiest)
        body.append(f'<tr>{cells}<td class="bar">{bars}</td></tr>')
    return f"<table><tr>{head}<th></th></tr>{''.join(body)}</table>"


def _number(title: str) -> str:
    return ' class="number"' if title in TITLES else ""


def _bar(kind: str, share: float) -> str:
    return f'<div class="{kind}" style="width:{100 * share:.1f}%"></div>' if share else ""
