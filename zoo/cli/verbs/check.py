"""`zoo check`: measure a build against its source.

When only limits changed since it was measured, the figures of then are held against those of now.

JSON: {status, reason, metrics, limits, tools, inputs, why, lint}. `status` is passed, failed,
measured (no limits apply) or not run; `why` says why it was not run: skipped, source (it is the
source) or unable. `inputs` has the sha256 of each file that was measured on. `lint` is as for
`zoo show`, or empty.
"""

from __future__ import annotations

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

COLUMNS = (Column("FIGURE"), Column("VALUE", right=True), Column("LIMIT"), Column("HOLDS"))


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
        output.table(COLUMNS, (_row(verdict, task, name) for name in verdict.metrics))
    if verdict.lint:
        output.tell()
        found = facts.lint({"lint": verdict.lint})
        output.tell(f"lint for {output.clean(verdict.lint['target'])}: {found}")


def _row(verdict: Verdict, task: Task, name: str) -> tuple[object, ...]:
    plain = name.rpartition(":")[2]
    value, limit = verdict.metrics[name], verdict.limits.get(plain)
    if limit is None:
        return name, f"{value:.4g}", "-", "-"
    held = task.holds(plain, value, limit)
    return name, f"{value:.4g}", f"{task.better(plain)} {limit:g}", held
