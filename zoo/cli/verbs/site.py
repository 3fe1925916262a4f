"""`zoo site`: the catalog as a static web site.

JSON: {folder, index, models, bytes, problems: [{name, message}]}.
"""

from __future__ import annotations

from pathlib import Path

import click

from zoo import api
from zoo.cli import facts, options, output
from zoo.words import human


@click.command(name="site")
@click.argument("folder", type=click.Path(path_type=Path))
@options.as_json
def command(folder: Path, as_json: bool) -> None:
    """Write the catalog as a static web site.

    The site needs no server and fetches nothing: open its index.html, or copy the folder to any
    host. Builds in the store bring the figures and outputs of their checks.
    """
    from zoo.site.writer import INDEX, site, write

    made = site(api.catalog(), facts.stored_builds())
    write(made, folder)
    size = sum(map(len, made.files.values()))
    for name, message in made.problems:
        output.warn(f"warning: {name}: {output.one_line(message)}")
    if as_json:
        output.document(
            {
                "folder": str(folder),
                "index": str(folder / INDEX),
                "models": len(made.models),
                "bytes": size,
                "problems": [{"name": n, "message": m} for n, m in made.problems],
            }
        )
    else:
        output.tell(folder / INDEX)
        output.note(f"{len(made.models)} models, {human(size)}")
