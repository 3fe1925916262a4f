"""`zoo prune`: remove failed builds, abandoned work, and converted intermediates.

JSON: {dry_run, removed: [key], bytes}.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api
from zoo.cli import entries, options
from zoo.cli.removal import remove
from zoo.store import Store


@click.command(name="prune")
@options.yes
@options.dry_run
@options.as_json
def command(yes: bool, dry_run: bool, as_json: bool) -> int:
    """Remove what nothing needs any more.

    Failed builds, abandoned work, and converted models that a build was optimized from.
    """
    store = api.store()
    folders = [*store.leftovers(), *_intermediates(store)]
    return remove(store, folders, yes=yes, dry_run=dry_run, as_json=as_json)


def _intermediates(store: Store) -> list[Path]:
    """Converted models, but none that another artifact has its files in."""
    found = entries.published(store)
    converted = [e for e in found if e.manifest and e.manifest.step == "convert"]
    return [e.folder for e in converted if len(entries.with_dependents([e], found)) == 1]
