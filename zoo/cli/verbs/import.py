# ruff: noqa: N999
"""`zoo import`: artifacts from a folder or archive that `zoo export` made; no network.

JSON: {artifacts: [{key, ref, step, build, path, signed}]}. `signed` is none, unchecked or good.
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
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Import only if signed with the key of this public key (PEM).",
)
@options.as_json
@options.quiet
def command(source: Path, key: Path | None, as_json: bool, quiet: bool) -> None:
    """Import artifacts from a folder or a tar archive.

    Imports all of them or none. Every file is hashed. Unlisted files, and artifacts that would
    replace another one, are refused. Pins of their sources are added to zoo.lock, unless they
    contradict it. The verdict of a check is the exporter's claim: use --key to require a signature.
    """
    from zoo.store import archive, signing

    with drawing(quiet) as listener:
        lock, progress = Lock(machine.lock_file()), Progress("import", listener)
        made = archive.bring(source, api.store(), lock, progress, key)
    signed = "good" if key else "unchecked"
    if as_json:
        found = [
            {
                "key": artifact.manifest.key,
                "ref": artifact.manifest.ref,
                "step": artifact.manifest.step,
                "build": artifact.manifest.build,
                "path": str(artifact.path),
                "signed": signed if signing.signed(artifact) else "none",
            }
            for artifact in made
        ]
        output.document({"artifacts": found})
        return
    for artifact in made:
        output.tell(artifact.manifest.key)
    if key is None:
        some = any(signing.signed(artifact) for artifact in made)
        hint = "zoo verify KEY --key public.pem checks it" if some else "see zoo sign"
        output.note(f"{'signed, by whom was not checked' if some else 'not signed'}: {hint}")
