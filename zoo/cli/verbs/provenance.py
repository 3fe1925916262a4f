"""`zoo provenance`: where an artifact comes from, in a form that other tools read."""

from __future__ import annotations

import click

from zoo import api
from zoo.cli import entries, options, output
from zoo.errors import IntegrityError, UsageError


@click.command(name="provenance")
@click.argument("name", metavar="REF_OR_KEY", shell_complete=options.completed("artifacts"))
@click.option(
    "--as",
    "form",
    type=click.Choice(["card", "cyclonedx", "in-toto"]),
    default="card",
    show_default=True,
    help="A model card of the Hugging Face Hub, a CycloneDX ML-BOM, or an in-toto statement.",
)
def command(name: str, form: str) -> None:
    """Show where an artifact comes from: source, recipe, tools, check.

    Prints what was recorded when it was made. Name one artifact: a key from zoo ls --keys, or a
    reference with its build.
    """
    from zoo.store import provenance

    chosen = entries.choose(entries.published(api.store()), [name])
    if len(chosen) > 1:
        keys = ", ".join(entry.key for entry in chosen)
        raise UsageError(f"'{name}' names several artifacts", f"name one of them: {keys}")
    manifest = chosen[0].manifest
    if manifest is None:
        raise IntegrityError(f"{chosen[0].key} is corrupt: {chosen[0].problem}")
    if form == "card":
        output.tell(provenance.model_card(manifest).rstrip("\n"))
    else:
        describe = provenance.bill_of_materials if form == "cyclonedx" else provenance.statement
        output.document(describe(manifest))
