"""`zoo pull`: the source of a model; its folder is the last line of stdout.

JSON: {ref, key, path}.
"""

from __future__ import annotations

import click

from zoo import api
from zoo.cli import options, output
from zoo.cli.drawing import drawing


@click.command(name="pull")
@options.model
@options.family
@options.as_json
@options.quiet
def command(name: str, family: str | None, as_json: bool, quiet: bool) -> None:
    """Download and verify the source of a model.

    Prints the folder of the source.
    """
    with drawing(quiet) as listener:
        artifact = api.pull(name, family=family, listener=listener)
    if as_json:
        found = artifact.manifest
        output.document({"ref": found.ref, "key": found.key, "path": str(artifact.path)})
    else:
        output.tell(artifact.path)
