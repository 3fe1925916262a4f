"""`zoo build`: a finished build; its folder is the last line of stdout.

JSON: {ref, build, format, key, path, check}, with `check` as `zoo check` prints it, or null.
"""

from __future__ import annotations

import click

from zoo import api
from zoo.cli import options, output
from zoo.cli.drawing import drawing
from zoo.tasks.verdict import Verdict


@click.command(name="build")
@options.model
@options.build_choice
@options.adapter
@options.no_check
@click.option("--force", is_flag=True, help="Build again, even if the build exists.")
@options.as_json
@options.quiet
def command(
    name: str,
    build: str | None,
    format: str | None,
    family: str | None,
    adapter: str | None,
    no_check: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Download, convert, optimize and check a build.

    Prints the folder of the build. The verdict of the check goes to stderr, with the figures of
    each adapter on a line of their own.
    """
    with drawing(quiet) as listener:
        artifact = api.build(
            name,
            build=build,
            format=format,
            family=family,
            adapter=adapter,
            check=not no_check,
            force=force,
            listener=listener,
        )
    made = artifact.manifest
    if as_json:
        output.document(
            {
                "ref": made.ref, "build": made.build, "format": made.format, "key": made.key,
                "path": str(artifact.path), "check": made.check,
            }
        )  # fmt: skip
        return
    if made.check and not quiet:
        for line in Verdict(**made.check).lines():
            output.note(f"check {line}")
    output.tell(artifact.path)
