"""`zoo du`: how much of the disk the artifacts take, counting what several share once.

JSON: {home, items: [{ref, step, bytes, elsewhere_bytes}], bytes, elsewhere_bytes, free_bytes}.
`elsewhere_bytes` is what lies outside ZOO_HOME: the Hub's cache, or a folder of yours.
"""

from __future__ import annotations

import click

from zoo import api
from zoo.cli import disk, options, output
from zoo.cli.output import Column
from zoo.words import human

COLUMNS = (
    Column("REF"),
    Column("STEP"),
    Column("BYTES", right=True),
    Column("ELSEWHERE", right=True, drop=1),
)


@click.command(name="du")
@options.as_json
def command(as_json: bool) -> None:
    """Show the disk usage of the store."""
    store = api.store()
    used = disk.usage(store)
    items = [
        {"ref": ref, "step": step, "bytes": here, "elsewhere_bytes": there}
        for (ref, step), (here, there) in used.items()
    ]
    here, there = (sum(pair[i] for pair in used.values()) for i in (0, 1))
    free = disk.free(store.home)
    if as_json:
        output.document(
            {
                "home": str(store.home),
                "items": items,
                "bytes": here,
                "elsewhere_bytes": there,
                "free_bytes": free,
            }
        )
        return
    rows = [(*key, human(a), human(b) if b else "-") for key, (a, b) in used.items()]
    rows.append(("total", "", human(here), human(there) if there else "-"))
    output.table(COLUMNS, rows)
    output.note(f"{store.home}: {human(free)} free")
