"""`zoo outdated`: which sources have changed on the Hub since they were pinned.

JSON: {models: [{ref, repo, branch, pinned, latest, outdated}]}. Exit code 1 when one has changed.
"""

from __future__ import annotations

from typing import Any

import click

from zoo import api, machine
from zoo.catalogs.pins import Lock
from zoo.cli import entries, options, output
from zoo.cli.output import Column
from zoo.cli.terminal import Styled
from zoo.errors import Exit, ZooError

COLUMNS = (
    Column("MODEL"), Column("SOURCE", wrap=True), Column("PINNED"), Column("NOW"), Column("STATE"),
)  # fmt: skip
SHOWN = 10
"""Hex digits of a commit in the table."""


@click.command(name="outdated")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=options.completed("names"))
@options.as_json
def command(names: tuple[str, ...], as_json: bool) -> int:
    """Show which sources have changed on the Hub since they were pinned.

    Without a NAME, of the models on this disk and those in zoo.lock. Nothing is changed: a recipe
    or zoo.lock keeps its commit until you change it.
    """
    from zoo.hub.heads import head

    rows: list[dict[str, Any]] = []
    for name in names or _known():
        recipe = api.show(name)
        for source in (*recipe.sources, *recipe.adapter.values()):
            if source.repo is None:
                continue
            branch = source.branch or "main"
            latest = head(source.repo, branch)
            rows.append(
                {
                    "ref": recipe.ref,
                    "repo": source.repo,
                    "branch": branch,
                    "pinned": source.revision,
                    "latest": latest,
                    "outdated": source.revision not in (None, latest),
                }
            )
    if as_json:
        output.document({"models": rows})
    elif rows:
        output.table(COLUMNS, map(_row, rows))
    else:
        output.note("no model here has a source on the Hub")
    return Exit.NEGATIVE if any(row["outdated"] for row in rows) else Exit.OK


def _known() -> list[str]:
    """The models of the catalog that are on this disk, or locked."""
    stored = [e.manifest.ref for e in entries.published(api.store()) if e.manifest]
    found = []
    for ref in dict.fromkeys([*stored, *Lock(machine.lock_file()).models()]):
        try:
            found.append(api.show(ref).ref)
        except ZooError:  # an adapter, or a model whose catalog is gone
            continue
    return list(dict.fromkeys(found))


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    pinned = row["pinned"]
    state = "changed" if row["outdated"] else "not pinned" if pinned is None else "current"
    style = {"changed": "yellow", "current": "green"}.get(state, "")
    return (
        row["ref"],
        f"{row['repo']}@{row['branch']}",
        pinned[:SHOWN] if pinned else "-",
        row["latest"][:SHOWN],
        Styled(state, style),
    )
