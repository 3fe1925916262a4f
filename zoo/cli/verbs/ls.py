"""`zoo ls`: the artifacts on this disk.

JSON: {artifacts: [{key, ref, step, build, format, bytes, created, path, failed, check, problem}],
bytes}. All but `key` and `problem` are null when the manifest cannot be read.
"""

from __future__ import annotations

import click

from zoo import api
from zoo.cli import entries, options, output
from zoo.cli.output import Column
from zoo.words import human

COLUMNS = (
    Column("KEY"),
    Column("REF"),
    Column("STEP", drop=1),
    Column("BUILD", drop=2),
    Column("FORMAT", drop=3),
    Column("SIZE", right=True),
    Column("CHECK"),
    Column("CREATED", drop=4),
)


@click.command(name="ls")
@options.as_json
def command(as_json: bool) -> None:
    """List the artifacts on this disk."""
    found = entries.everything(api.store())
    total = sum(e.manifest.size for e in found if e.manifest)
    if as_json:
        output.document({"artifacts": [e.described() for e in found], "bytes": total})
        return
    if found:
        output.table(COLUMNS, map(_row, found))
    for entry in found:
        if entry.problem:
            output.warn(f"warning: {entry.key}: {output.one_line(entry.problem)}")
    number = "1 artifact" if len(found) == 1 else f"{len(found)} artifacts"
    output.note(f"{number}, {human(total)}")


def _row(entry: entries.Entry) -> tuple[object, ...]:
    manifest = entry.manifest
    if manifest is None:
        return entry.key, "?", "?", "?", "?", "?", entry.status, "?"
    return (
        entry.key,
        manifest.ref,
        manifest.step,
        manifest.build if manifest.step == "build" else "-",
        manifest.format if manifest.step != "download" else "-",
        human(manifest.size),
        entry.status or "-",
        manifest.created,
    )
