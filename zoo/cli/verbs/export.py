"""`zoo export`: artifacts to a folder or a tar archive, for a machine without a network.

JSON: {dest, artifacts: [key], bytes}.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api, machine
from zoo.catalogs.pins import Lock
from zoo.cli import entries, options, output
from zoo.cli.drawing import drawing
from zoo.errors import IntegrityError
from zoo.progress import Progress
from zoo.store.artifacts import Artifact
from zoo.words import human


@click.command(name="export")
@options.artifacts
@click.option(
    "--to",
    "dest",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder, or a new archive that ends in .tar.",
)
@options.as_json
@options.quiet
def command(names: tuple[str, ...], dest: Path, as_json: bool, quiet: bool) -> None:
    """Export artifacts to a folder or a tar archive.

    Name them by key, by reference (mistral:mini, with its source and all its builds), or by
    reference and build. Use zoo import on the other machine.
    """

    store = api.store()
    chosen = entries.choose(entries.published(store), names)
    artifacts = [_readable(entry) for entry in chosen]
    with store.using(*(entry.key for entry in chosen)), drawing(quiet) as listener:
        from zoo.store.export import export

        export(artifacts, Lock(machine.lock_file()), dest, Progress("export", listener))
    size = sum(artifact.manifest.size for artifact in artifacts)
    if as_json:
        keys = [entry.key for entry in chosen]
        output.document({"dest": str(dest), "artifacts": keys, "bytes": size})
        return
    for entry in chosen:
        output.tell(entry.key)
    output.note(f"{human(size)} in {dest}")


def _readable(entry: entries.Entry) -> Artifact:
    if entry.artifact is None:
        raise IntegrityError(
            f"{entry.key} is corrupt and was not exported: {entry.problem}",
            f"repair it: zoo verify --repair {entry.key}",
        )
    return entry.artifact
