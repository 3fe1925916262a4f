"""`zoo app`: the files of a build that an app ships.

JSON: {folder, ref, build, format, bytes, files: [path], examples}. `files` are those in
`Resources`; `examples` is the number of inputs with outputs in `zoo.json`.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api
from zoo.cli import options, output
from zoo.cli.drawing import drawing
from zoo.words import human


@click.command(name="app")
@options.model
@options.build_choice
@options.adapter
@click.option(
    "--to", "dest", required=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="The folder to make.",
)  # fmt: skip
@options.as_json
@options.quiet
def command(
    name: str,
    build: str | None,
    format: str | None,
    family: str | None,
    adapter: str | None,
    dest: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the files of a build that an app ships.

    Builds first if needed; without a build, it is the one that a Mac would run. FOLDER gets
    Resources, with the names that runtimes expect, zoo.json, which describes the model and has
    example inputs with the outputs of this build, and a README.
    """
    with drawing(quiet) as listener:
        described = api.app_folder(
            name, dest, build=build, format=format, family=family, adapter=adapter,
            listener=listener,
        )  # fmt: skip
    size = sum(file["size"] for file in described["files"])
    if as_json:
        output.document(
            {
                "folder": str(dest.absolute()),
                "ref": described["ref"], "build": described["build"],
                "format": described["format"], "bytes": size,
                "files": [file["path"] for file in described["files"]],
                "examples": len(described["examples"]),
            }
        )  # fmt: skip
        return
    output.tell(dest)
    output.note(f"{human(size)} for the app; {dest / 'README.md'} says how to load it")
