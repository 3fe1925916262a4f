"""`zoo browse`: the catalog in a web browser."""

from __future__ import annotations

import click

from zoo import api, machine
from zoo.cli import facts, output


@click.command(name="browse")
@click.argument("name", required=False)
@click.option(
    "--print", "only_print", is_flag=True, help="Print the address instead of opening it."
)
def command(name: str | None, only_print: bool) -> None:
    """Open the catalog in a web browser, or the page of a model.

    The pages are those of zoo site, written into the cache.
    """
    from zoo.site.models import page_of
    from zoo.site.writer import INDEX, site, write

    catalog = api.catalog()
    page = INDEX if name is None else page_of(catalog.resolve(name)[0].ref)
    folder = machine.home() / "site"
    write(site(catalog, facts.stored_builds()), folder)
    address = (folder / page).absolute().as_uri()
    output.tell(address)
    if only_print:
        return
    import webbrowser

    if not webbrowser.open(address):
        output.note("no web browser was found here: open the address in one of yours")
