"""`zoo build`: a finished build; its folder is the last line of stdout."""

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
@options.quiet
def command(
    name: str,
    build: str | None,
    format: str | None,
    family: str | None,
    adapter: str | None,
    no_check: bool,
    force: bool,
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
    if artifact.manifest.check and not quiet:
        for line in Verdict(**artifact.manifest.check).lines():
            output.note(f"check {line}")
    output.tell(artifact.path)
