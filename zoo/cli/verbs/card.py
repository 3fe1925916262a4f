"""`zoo card`: a model as a Markdown page, before anything is fetched."""

from __future__ import annotations

import click

from zoo import api
from zoo.cli import facts, model_document, options, output
from zoo.cli.model_card import markdown


@click.command(name="card")
@options.model
@options.family
def command(name: str, family: str | None) -> None:
    """A model as a Markdown page: facts, license, builds, checks, commands."""
    recipe, build = api.resolve(name, family=family)
    stored = api.installed(name, facts.stored_builds().get(recipe.ref, {}), family)
    output.tell(markdown(model_document.describe(recipe, build, stored)))
