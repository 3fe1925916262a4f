"""`zoo rm`: remove artifacts, never anything outside ZOO_HOME.

JSON: {dry_run, removed: [key], bytes}.
"""

from __future__ import annotations

import click

from zoo import api
from zoo.cli import entries, options, output
from zoo.cli.removal import remove


@click.command(name="rm")
@click.argument("names", nargs=-1, required=True, metavar="REF_OR_KEY...")
@options.yes
@options.dry_run
@options.as_json
def command(names: tuple[str, ...], yes: bool, dry_run: bool, as_json: bool) -> int:
    """Remove artifacts.

    By key, by reference (mistral:mini, with all its builds), or by reference and build
    (mistral:mini/mlx-4bit).
    """
    store = api.store()
    found = entries.everything(store)
    chosen = entries.choose(found, names)
    going = entries.with_dependents(chosen, found)
    for entry in going[len(chosen) :]:
        output.note(f"{entry.key} goes too: its files are in what you remove")
    outside = {
        e.artifact.path
        for e in going
        if e.artifact and not e.artifact.path.is_relative_to(store.home.resolve())
    }
    code = remove(store, [e.folder for e in going], yes=yes, dry_run=dry_run, as_json=as_json)
    if code == 0:
        for path in sorted(outside):
            output.note(f"{path} is outside the store and stays")
    return code
