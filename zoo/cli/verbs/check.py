"""`zoo check`: measure a build against its source.

When only limits changed since it was measured, the figures of then are held against those of now.

JSON: {status, reason, metrics, limits, tools, inputs, why, lint}. `status` is passed, failed,
measured (no limits apply) or not run; `why` says why it was not run: skipped, source (it is the
source) or unable. `inputs` has the sha256 of each file that was measured on. `lint` is as for
`zoo show`, or empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from zoo import api
from zoo.cli import facts, options, output
from zoo.cli.drawing import drawing
from zoo.cli.output import Column
from zoo.errors import Exit
from zoo.tasks.registry import task_of
from zoo.tasks.task import Task
from zoo.tasks.verdict import Verdict

COLUMNS = (
    Column("ADAPTER"), Column("FIGURE"), Column("VALUE", right=True), Column("LIMIT"),
    Column("HOLDS"),
)  # fmt: skip


@click.command(name="check")
@options.model
@options.build_choice
@options.adapter
@options.as_json
@options.quiet
def command(
    name: str,
    build: str | None,
    format: str | None,
    family: str | None,
    adapter: str | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Compare a build with its source, and lint it for its target.

    Builds first if needed. Exits with 1 if a limit is exceeded or the check could not run.
    """
    with drawing(quiet) as listener:
        verdict = api.check(
            name, build=build, format=format, family=family, adapter=adapter, listener=listener
        )
    if as_json:
        output.document(asdict(verdict))
    else:
        _print(verdict, task_of(api.show(name, family=family).task))
    good = verdict.status in ("passed", "measured") or verdict.why == "source"
    return Exit.OK if good else Exit.NEGATIVE


def _print(verdict: Verdict, task: Task) -> None:
    output.tell(f"{verdict.status}: {verdict.reason}" if verdict.reason else verdict.status)
    if verdict.metrics:
        output.tell()
        output.table(COLUMNS, _rows(verdict, task))
    if verdict.lint:
        output.tell()
        found = facts.lint({"lint": verdict.lint})
        output.tell(f"lint for {output.clean(verdict.lint['target'])}: {found}")


def _rows(verdict: Verdict, task: Task) -> Iterator[tuple[object, ...]]:
    """The figures, adapter by adapter; the first column is empty where there are no adapters."""
    groups = verdict.by_adapter()
    alone = "-" if len(groups) > 1 else ""
    for adapter, figures in groups.items():
        for name, value in figures.items():
            shown = adapter or alone, name, f"{value:.4g}"
            limit = verdict.limits.get(name)
            if limit is None:
                yield *shown, "-", "-"
            else:
                better, held = task.better(name), task.holds(name, value, limit)
                yield *shown, f"{better} {limit:g}", held
