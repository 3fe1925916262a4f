"""`zoo prune`: remove failed builds, abandoned work, and converted intermediates.

JSON: {dry_run, removed: [key or file name], bytes}.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api
from zoo.cli import entries, options
from zoo.cli.removal import remove
from zoo.errors import ZooError
from zoo.pipeline.installed import current_keys
from zoo.store.store import Store


@click.command(name="prune")
@click.option("--old", is_flag=True, help="Also builds made by other versions of tools or recipe.")
@click.option("--downloads", is_flag=True, help="Also unfinished downloads.")
@options.yes
@options.dry_run
@options.as_json
def command(old: bool, downloads: bool, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Remove artifacts that nothing needs.

    Removes quarantined builds, abandoned work, and intermediate conversions. Artifacts in use are
    kept.
    """
    store = api.store()
    paths = [*store.leftovers(), *_intermediates(store)]
    if old:
        paths += [folder for folder in _outdated(store) if folder not in paths]
    if downloads:
        from zoo.hub.cache import unfinished
        from zoo.hub.repository import cache_folder

        paths += unfinished(cache_folder())
    return remove(store, paths, yes=yes, dry_run=dry_run, as_json=as_json)


def _intermediates(store: Store) -> list[Path]:
    """Converted models, but none that another artifact has its files in."""
    found = entries.published(store)
    converted = [e for e in found if e.manifest and e.manifest.step == "convert"]
    return [e.folder for e in converted if len(entries.with_dependents([e], found)) == 1]


def _outdated(store: Store) -> list[Path]:
    """Artifacts that would be stored under another key if they were made now.

    What cannot be judged stays: a model that is in no catalog any more, a plugin that is not
    installed, a build with an adapter of your own.
    """
    keys: dict[str, dict[str, set[str]]] = {}
    found = []
    for entry in entries.published(store):
        manifest = entry.manifest
        if manifest is None:
            continue
        if manifest.ref not in keys:
            try:
                keys[manifest.ref] = current_keys(manifest.ref)
            except ZooError:
                keys[manifest.ref] = {}
        now = keys[manifest.ref].get(manifest.build)
        if now is not None and entry.key not in now and not manifest.inputs.get("adapters"):
            found.append(entry.folder)
    return found
