"""`zoo ls`: the artifacts on this disk.

JSON: {artifacts: [{key, name, ref, step, build, format, bytes, created, path, failed, check,
problem}], bytes}. `name` is what other commands take. All but `key` and `problem` are null when the
manifest cannot be read.
"""

from __future__ import annotations

import click

from zoo import machine
from zoo.cli import entries, options, output
from zoo.cli.output import Column
from zoo.cli.terminal import Styled
from zoo.store.store import Store
from zoo.words import human

COLUMNS = (
    Column("NAME"),
    Column("STEP"),
    Column("FORMAT", drop=2),
    Column("SIZE", right=True),
    Column("CHECK"),
    Column("CREATED", drop=1),
    Column("KEY", drop=3),
)
COLORS = {"passed": "green", "failed": "red", "corrupt": "red"}


@click.command(name="ls")
@click.option("--keys", is_flag=True, help="Show the key of each artifact in the store too.")
@options.as_json
def command(keys: bool, as_json: bool) -> None:
    """List the artifacts in the store."""
    found = entries.everything(Store(machine.home()))
    total = sum(e.manifest.size for e in found if e.manifest)
    if as_json:
        output.document({"artifacts": [e.described() for e in found], "bytes": total})
        return
    if found:
        output.table(COLUMNS, [_row(entry, keys) for entry in found])
    for entry in found:
        if entry.problem:
            output.warn(f"warning: {entry.key}: {output.one_line(entry.problem)}")
    number = "1 artifact" if len(found) == 1 else f"{len(found)} artifacts"
    output.note(f"{number}, {human(total)}; zoo du counts what they share once")


def _row(entry: entries.Entry, keys: bool) -> tuple[object, ...]:
    manifest, key = entry.manifest, entry.key if keys else ""
    status = Styled(entry.status or "-", COLORS.get(entry.status, ""))
    if manifest is None:
        return entry.key, "?", "?", "?", status, "?", key
    return (
        entry.name,
        manifest.step,
        manifest.format if manifest.step != "download" else "-",
        human(manifest.size),
        status,
        manifest.created.removesuffix("Z").replace("T", " ")[:16],
        key,
    )
