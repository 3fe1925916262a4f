"""`zoo card`: a model as a Markdown page, before anything is fetched."""

from __future__ import annotations

import click

from zoo.cli import model_document, options, output
from zoo.cli.lookup import look_up
from zoo.cli.model_card import markdown


@click.command(name="card")
@options.model
@options.family
def command(name: str, family: str | None) -> None:
    """Print a model as a Markdown page: facts, license, builds, checks, commands."""
    recipe, build, stored = look_up(name, family)
    output.tell(markdown(model_document.describe(recipe, build, stored)))
