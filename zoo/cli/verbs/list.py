"""`zoo list`: the catalog, as data; no plugin or model library is imported.

JSON: {models: [{ref, name, aliases, title, summary, task, family, license, license_name,
commercial, gated, pinned, parameters, context, languages, tags, download_bytes, download_exact,
default_build, disk_bytes, memory_bytes, fits, formats, installed, checked}], total,
problems: [{name, message}]}. `problems` are recipes that cannot be read, and plugins of the format
and the task that are asked for. `name` is the short name of a default variant, else null.
`default_build` is what `zoo run` chooses on this machine; `disk_bytes`, `memory_bytes` and `fits`
are its own. `installed` and `checked` name builds in the store, and those whose check passed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from zoo import machine
from zoo.catalogs.catalog import open_catalog
from zoo.cli import catalog_table, options, output
from zoo.cli.catalog_filters import Wanted, license_holds, plugin_problems, task_holds
from zoo.cli.catalog_line import Line, lines_of
from zoo.errors import Exit

SORT_KEYS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.listing.ref,
    "size": lambda line: line.facts.download_bytes,
    "memory": lambda line: line.build.memory_bytes,
    "parameters": lambda line: line.facts.parameters,
}
SORTS = ("catalog", *SORT_KEYS)


@click.command(name="list")
@click.argument("query", nargs=-1)
@click.option(
    "--task",
    metavar="T",
    help="Only models of this task, such as speech.",
    shell_complete=options.completed("tasks"),
)
@click.option(
    "--family",
    metavar="F",
    help="Only models of this family.",
    shell_complete=options.completed("families"),
)
@click.option(
    "--format",
    metavar="F",
    help="Only models with a build in this format.",
    shell_complete=options.completed("all_formats"),
)
@click.option(
    "--license", metavar="L",
    help="Only this license: permissive, commercial (may be sold, also on terms), or its name.",
    shell_complete=options.completed("licenses"),
)  # fmt: skip
@click.option("--max-size", metavar="SIZE", type=options.SIZE, help="Download at most, as 2GB.")
@click.option(
    "--max-memory", metavar="SIZE", type=options.SIZE,
    help="The default build needs at most, as 8GB.",
)  # fmt: skip
@click.option("--fits", is_flag=True, help="Only models whose default build fits this machine.")
@click.option("--installed", is_flag=True, help="Only models with a build in the store.")
@click.option("--checked", is_flag=True, help="Only models with a build that passed its check.")
@click.option("--sort", type=click.Choice(SORTS), default="catalog", help="The order.")
@click.option("--limit", "-n", metavar="N", type=click.IntRange(1), help="At most N models.")
@click.option("-q", "--quiet", is_flag=True, help="Print the names alone.")
@options.as_json
def command(
    query: tuple[str, ...],
    task: str | None,
    family: str | None,
    format: str | None,
    license: str | None,
    max_size: int | None,
    max_memory: int | None,
    fits: bool,
    installed: bool,
    checked: bool,
    sort: str,
    limit: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Browse the catalog.

    Each word of QUERY must be in a model's name, title, summary, family, task, license, tags,
    languages, builds or target systems; 4bit, sdxl, transcription and the like are understood.
    """
    catalog = open_catalog()
    listings = list(catalog)
    problems = {name: error.message for name, error in catalog.all_problems.items()}
    wanted = Wanted(query, license_holds(license, listings))
    problems |= {x.ref: x.problem for x in listings if x.facts is None and wanted.named(x)}
    task_is = task_holds(task, listings)
    asked_for = [
        x
        for x in listings
        if x.facts
        and wanted.holds(x)
        and task_is(x)
        and family in (None, x.facts.family)
        and (not format or format in x.facts.formats)
        and (max_size is None or x.facts.download_bytes <= max_size)
    ]
    found = [
        line
        for line in lines_of(asked_for)
        if (max_memory is None or line.build.memory_bytes <= max_memory)
        and (line.fits or not fits)
        and (line.installed or not installed)
        and (not checked or line.checked)
    ]
    tasks = {line.facts.task for line in found} if task else set()
    problems |= plugin_problems([format] if format else [], sorted(tasks))
    if sort in SORT_KEYS:
        found.sort(key=SORT_KEYS[sort])
    _show(found, limit, problems, quiet=quiet, as_json=as_json)
    if not found and not problems and not as_json:
        output.note("no model matches" + wanted.near(listings))
        output.warn("hint: zoo list shows all models, zoo list --help the filters")
    return Exit.OK if found or problems else Exit.NEGATIVE


def _show(
    found: list[Line],
    limit: int | None,
    problems: dict[str, str],
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    for name, message in problems.items():
        output.warn(f"warning: {name}: {output.one_line(message)}")
    lines = found[:limit]
    if as_json:
        listed = [{"name": name, "message": message} for name, message in problems.items()]
        shown = [line.document() for line in lines]
        output.document({"models": shown, "total": len(found), "problems": listed})
    elif quiet:
        for line in lines:
            output.tell(line.listing.ref)
    elif lines:
        catalog_table.show(lines)
        catalog_table.footer(lines, len(found), machine.memory())
