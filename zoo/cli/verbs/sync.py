"""`zoo sync`: make what a project's lock file names, at the commits and hashes that it records.

JSON: {models: [{ref, build, key, path}]}. `build` is null, and `key` and `path` are those of the
source, where the source alone is locked.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from zoo import api
from zoo.catalogs.pins import Lock
from zoo.cli import options, output
from zoo.cli.drawing import drawing
from zoo.errors import NotFound


@click.command(name="sync")
@click.option(
    "--file", "path", type=click.Path(path_type=Path), default=Path("zoo.lock"), show_default=True,
    help="The lock file of the project.",
)  # fmt: skip
@options.as_json
@options.quiet
def command(path: Path, as_json: bool, quiet: bool) -> None:
    """Pull and build what a project's lock file names, at the commits and hashes in it."""
    path = path.absolute()
    models = Lock(path).models()
    if not models:
        raise NotFound(f"no model is locked in {path}", "lock one first: zoo lock NAME")
    os.environ["ZOO_LOCK"] = str(path)
    found = []
    for ref, build in models.items():
        with drawing(quiet) as listener:
            if build:
                made = api.build(ref, build=build, listener=listener)
            else:
                made = api.pull(ref, listener=listener)
        key, folder = made.manifest.key, str(made.path)
        found.append({"ref": ref, "build": build or None, "key": key, "path": folder})
        if not as_json:
            output.tell(f"{ref}{'/' if build else ''}{build}  {folder}")
    if as_json:
        output.document({"models": found})
