# ruff: noqa: N999
"""`zoo import`: artifacts from a folder or archive that `zoo export` made; no network.

JSON: {artifacts: [{key, ref, step, build, path}]}.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api, machine
from zoo.catalogs.pins import Lock
from zoo.cli import options, output
from zoo.cli.drawing import drawing
from zoo.progress import Progress


@click.command(name="import")
@click.argument("source", type=click.Path(path_type=Path))
@options.as_json
@options.quiet
def command(source: Path, as_json: bool, quiet: bool) -> None:
    """Take artifacts from a folder or a tar archive.

    Every file is hashed; what the manifest does not list is refused. What zoo.lock of the other
    machine says of the sources is taken over, unless it contradicts yours.
    """
    from zoo.store import archive

    with drawing(quiet) as listener:
        made = archive.bring(
            source, api.store(), Lock(machine.lock_file()), Progress("import", listener)
        )
    if as_json:
        found = [
            {
                "key": artifact.manifest.key,
                "ref": artifact.manifest.ref,
                "step": artifact.manifest.step,
                "build": artifact.manifest.build,
                "path": str(artifact.path),
            }
            for artifact in made
        ]
        output.document({"artifacts": found})
        return
    for artifact in made:
        output.tell(artifact.manifest.key)
