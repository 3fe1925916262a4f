"""`zoo list`: the catalog, as data; no plugin or model library is imported.

JSON: {models: [{ref, name, title, summary, task, family, license, gated, pinned, parameters,
download_bytes, memory_bytes, formats, fits, installed}], total,
problems: [{name, message}]}. `name` is the short name of a default variant, else null.
"""

from __future__ import annotations

from typing import Any

import click

from zoo import api, machine
from zoo.catalogs import estimates
from zoo.catalogs.catalog import Listing
from zoo.cli import facts, options, output
from zoo.cli.output import Column
from zoo.errors import Exit
from zoo.words import human

COLUMNS = (
    Column("NAME"),
    Column("TASK", drop=2),
    Column("PARAMS", right=True, drop=3),
    Column("SIZE", right=True),
    Column("MEMORY", right=True, drop=1),
    Column("LICENSE", drop=5),
    Column("FORMATS", drop=4),
    Column("INSTALLED", drop=1),
    Column("FITS"),
    Column("NOTES", drop=6),
)


@click.command(name="list")
@click.argument("query", nargs=-1)
@click.option("--task", metavar="T", help="Only models of this task, such as text-generation.")
@click.option("--family", metavar="F", help="Only models of this family.")
@click.option("--format", metavar="F", help="Only models with a build in this format.")
@click.option("--fits", is_flag=True, help="Only models whose default build fits this machine.")
@click.option("--installed", is_flag=True, help="Only models with a build in the store.")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="At most N models.")
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    query: tuple[str, ...],
    task: str | None,
    family: str | None,
    format: str | None,
    fits: bool,
    installed: bool,
    limit: int | None,
    as_json: bool,
) -> int:
    """Browse the catalog.

    QUERY words are looked for in names, titles, summaries, tasks, licenses and formats.
    """
    catalog = api.catalog()
    found = catalog.search(*query)
    problems = {name: error.message for name, error in catalog.problems.items()}
    problems |= {x.ref: x.problem for x in found if x.recipe is None}
    stored = facts.stored_builds()
    models = [
        model
        for model in (_described(x, stored) for x in found if x.recipe)
        if (not task or task.lower() in model["task"])
        and family in (None, model["family"])
        and (not format or format in model["formats"])
        and (model["fits"] or not fits)
        and (model["installed"] or not installed)
    ]
    for name, message in problems.items():
        output.warn(f"warning: {name}: {output.one_line(message)}")
    if as_json:
        listed = [{"name": name, "message": message} for name, message in problems.items()]
        output.document({"models": models[:limit], "total": len(models), "problems": listed})
    elif models:
        output.table(COLUMNS, map(_row, models[:limit]))
        if limit and len(models) > limit:
            output.note(f"{len(models) - limit} more, without --limit")
    if not models and not problems:
        output.note("no model matches")
        output.warn("hint: zoo list shows all models, zoo list --help the filters")
    return Exit.OK if models or problems else Exit.NEGATIVE


def _described(listing: Listing, stored: dict[str, Any]) -> dict[str, Any]:
    recipe = listing.recipe
    assert recipe is not None
    memory = facts.smallest_memory(recipe)
    return {
        "ref": listing.ref,
        "name": listing.ref.partition(":")[0] if listing.default else None,
        "title": recipe.title,
        "summary": recipe.summary,
        "task": recipe.task,
        "family": recipe.family,
        "license": recipe.license,
        "gated": recipe.gated,
        "pinned": recipe.source.pinned,
        "parameters": recipe.parameters,
        "download_bytes": estimates.download_bytes(recipe),
        "memory_bytes": memory,
        "formats": list(recipe.formats),
        "fits": memory <= machine.memory(),
        "installed": sorted(api.installed(recipe, stored.get(listing.ref, {}))),
    }


def _row(model: dict[str, Any]) -> tuple[object, ...]:
    notes = [f"= {model['name']}"] if model["name"] else []
    notes += ["gated"] * model["gated"] + ["unpinned"] * (not model["pinned"])
    return (
        model["ref"],
        model["task"],
        facts.count(model["parameters"]),
        human(model["download_bytes"]),
        human(model["memory_bytes"]),
        model["license"],
        ",".join(model["formats"]),
        ",".join(model["installed"]) or "-",
        model["fits"],
        ", ".join(notes),
    )
