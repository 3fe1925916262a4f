"""`zoo rm`: remove artifacts, never anything outside ZOO_HOME.

JSON: {dry_run, removed: [key], bytes}.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api
from zoo.cli import entries, options, output
from zoo.cli.removal import remove
from zoo.store.store import Store
from zoo.words import human


@click.command(name="rm")
@options.artifacts
@click.option(
    "--downloads", is_flag=True, help="Also remove their files from the Hugging Face cache."
)
@options.yes
@options.dry_run
@options.as_json
def command(
    names: tuple[str, ...], downloads: bool, yes: bool, dry_run: bool, as_json: bool
) -> int:
    """Remove artifacts.

    Name them by key, by reference (mistral:mini, with all its builds), or by reference and build
    (mistral:mini/mlx-4bit). Files in the Hugging Face cache are shared with other programs and are
    kept without --downloads. Your own folders are always kept.
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
        if downloads and not dry_run:
            outside -= _forget(store, going)
        for path in sorted(outside):
            output.note(f"{path} is outside the store and stays")
    return code


def _forget(store: Store, gone: list[entries.Entry]) -> set[Path]:
    """Remove what was downloaded for artifacts that are gone, but none that another one uses."""
    from zoo.hub.cache import cached_repo, forget
    from zoo.hub.repository import cache_folder

    used = {e.artifact.path for e in entries.everything(store) if e.artifact}
    cache, forgotten = cache_folder(), set()
    for entry in gone:
        artifact = entry.artifact
        if artifact is None or artifact.path in used or not cached_repo(artifact.path):
            continue
        if not artifact.path.is_relative_to(cache):
            continue
        freed = forget(cache, artifact.path, [file.path for file in artifact.manifest.files])
        output.note(f"{human(freed)} freed in the Hub's cache")
        forgotten.add(artifact.path)
    return forgotten
