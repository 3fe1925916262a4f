"""`zoo cost`: what a build takes to run, operation by operation.

JSON: {ref, build, case, total, layers: [operation], kinds: [operation], operations: [operation]},
where an operation is {part, layer, kind, name, parameters, weight_bytes, activation_bytes, flops,
count, device, share}.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from zoo import api
from zoo.cli import facts, options, output
from zoo.cli.drawing import drawing
from zoo.cli.output import Column
from zoo.errors import InputError
from zoo.reports.costs import Cost, Operation
from zoo.words import human

FIGURES = (
    Column("COUNT", right=True, drop=5),
    Column("PARAMETERS", right=True),
    Column("BITS", right=True, drop=4),
    Column("WEIGHTS", right=True),
    Column("TRAFFIC", right=True, drop=3),
    Column("FLOPS", right=True),
    Column("DEVICE"),
    Column("SHARE", right=True),
)


UNASKED = 2 * 10**9
"""Bytes of a build that is made without asking."""


@click.command(name="cost")
@options.model
@options.build_choice
@click.option("--tokens", type=click.IntRange(1), help="Number of tokens in one call.")
@click.option("--operations", "each", is_flag=True, help="List every operation.")
@click.option(
    "--html", type=click.Path(path_type=Path), help="Write a page with charts to this file."
)
@click.option("-y", "--yes", is_flag=True, help="Make the build even if it is large.")
@options.as_json
@options.quiet
def command(
    name: str,
    build: str | None,
    format: str | None,
    family: str | None,
    tokens: int | None,
    each: bool,
    html: Path | None,
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Count the weights, memory traffic and arithmetic of a build.

    TRAFFIC is what operations read and write, without weights. A multiply-add counts as two FLOPS.
    On a Mac, DEVICE and SHARE come from Core ML's compute plan.
    """
    with drawing(quiet) as listener:
        most = None if yes else UNASKED
        cost = api.cost(
            name,
            build=build,
            format=format,
            family=family,
            tokens=tokens,
            most=most,
            listener=listener,
        )
    if html is not None:
        _write_page(html, name, cost)
    if as_json:
        output.document(
            {
                "ref": cost.ref,
                "build": cost.build,
                "case": cost.case,
                "total": asdict(cost.total),
                "layers": [asdict(layer) for layer in cost.by_layer()],
                "kinds": [asdict(kind) for kind in cost.by_kind()],
                "operations": [asdict(operation) for operation in cost.operations],
            }
        )
    elif html is None:
        _print(cost, each)


def _write_page(path: Path, name: str, cost: Cost) -> None:
    from zoo.site.cost import page

    try:
        path.write_text(page(name, cost), encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    output.note(f"wrote {path}")


def _print(cost: Cost, each: bool) -> None:
    output.tell(f"{cost.case}:")
    output.tell()
    parts = len({operation.part for operation in cost.operations}) > 1
    first = (Column("PART"),) if parts else ()
    if each:
        columns = (
            *first,
            Column("LAYER", drop=2),
            Column("OPERATION"),
            Column("KIND"),
            *FIGURES[1:],
        )
        rows = [
            (*((o.part,) if parts else ()), o.layer, o.name, o.kind, *_figures(o)[1:])
            for o in cost.operations
        ]
        output.table(
            columns, [*rows, (*("",) * len(first), "", "total", "", *_figures(cost.total)[1:])]
        )
        return
    layers = [(*((o.part,) if parts else ()), o.name, *_figures(o)) for o in cost.by_layer()]
    total = (*("",) * len(first), "total", *_figures(cost.total))
    output.table((*first, Column("LAYER"), *FIGURES), [*layers, total])
    output.tell()
    output.table((Column("KIND"), *FIGURES), [(o.name, *_figures(o)) for o in cost.by_kind()])


def _figures(operation: Operation) -> tuple[object, ...]:
    return (
        operation.count,
        facts.count(operation.parameters) if operation.parameters else "-",
        facts.bits(operation),
        human(operation.weight_bytes) if operation.weight_bytes else "-",
        human(operation.activation_bytes) if operation.activation_bytes else "-",
        facts.count(operation.flops) if operation.flops else "-",
        operation.device or "",
        "" if operation.share is None else f"{operation.share:.1%}",
    )
