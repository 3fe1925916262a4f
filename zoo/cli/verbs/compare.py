"""`zoo compare`: models side by side, from the catalog alone.

JSON: {models: [as zoo list --json has them, with builds: [{name, format, bits_per_weight,
disk_bytes, disk_exact, memory_bytes, minimum_os, fits, figures}]]}. `disk_exact` is false for an
estimate. `figures` is null but for an installed build that was checked: {figure: value}; those of
an adapter begin with its name, as in `pirate:top1`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from zoo import machine
from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.licenses import ANSWERS
from zoo.catalogs.reference import Reference
from zoo.cli import catalog_table, options, output
from zoo.cli.catalog_line import Line, lines_of
from zoo.cli.output import Column
from zoo.errors import NotFound, UsageError
from zoo.tasks.verdict import Verdict
from zoo.words import count, human

if TYPE_CHECKING:
    from zoo.catalogs.listing import Listing


@click.command(name="compare")
@click.argument(
    "names", nargs=-1, required=True, metavar="A B [C...]",
    shell_complete=options.completed("names"),
)  # fmt: skip
@options.as_json
def command(names: tuple[str, ...], as_json: bool) -> None:
    """Compare models, or builds of a model, side by side.

    Name models of the catalog, or builds such as mistral:mini/mlx-4bit.
    """
    if len(names) < 2:
        raise UsageError("there is one name to compare", "name two models or builds, or more")
    for name in names:
        if Reference.parse(name).kind != "catalog":
            raise NotFound(
                f"'{name}' is not in the catalog", "zoo show says what is known about a folder"
            )
    found = open_catalog().find(*names)
    lines = lines_of(listing for listing, _ in found)
    columns = [_column(line, build) for line, (_, build) in zip(lines, found, strict=True)]
    if as_json:
        output.document({"models": [column["model"] for column in columns]})
        return
    rows = [[title, *(ask(column) for column in columns)] for title, ask in ROWS]
    rows += _figures([column["build"]["figures"] for column in columns])
    titles = [_title(column) for column in columns]
    output.table([Column(""), *(Column(title, wrap=True) for title in titles)], rows)


def _figures(checks: list[dict[str, float] | None]) -> list[list[str]]:
    """Rows of the figures of a check, those of each adapter below its name.

    Args:
        checks: the figures of each column; `None` where no check was run.
    """
    verdicts = [Verdict("measured", metrics=figures or {}).by_adapter() for figures in checks]
    rows: list[list[str]] = []
    for adapter in dict.fromkeys(name for groups in verdicts for name in groups):
        groups = [found.get(adapter, {}) for found in verdicts]
        if adapter:
            rows.append([f"adapter {adapter}", *("" for _ in checks)])
        for figure in dict.fromkeys(name for group in groups for name in group):
            values = [
                f"{group[figure]:.4g}" if figure in group else "not run" if check is None else "-"
                for group, check in zip(groups, checks, strict=True)
            ]
            rows.append([f"  {figure}" if adapter else figure, *values])
    return rows


def _column(line: Line, asked_for: str | None) -> dict[str, Any]:
    """A model of the catalog, and the build of it that is compared."""
    if asked_for is not None:
        _require_usable(line.listing, asked_for)
    builds = []
    for build in line.listing.builds:
        artifact = line.installed.get(build.name)
        check = (artifact.manifest.check or {}) if artifact else {}
        builds.append(
            {
                "name": build.name,
                "format": build.format,
                "bits_per_weight": build.bits,
                "disk_bytes": artifact.manifest.size if artifact else build.bytes,
                "disk_exact": artifact is not None,
                "memory_bytes": build.memory_bytes,
                "minimum_os": build.minimum_os or None,
                "fits": build.memory_bytes <= machine.memory(),
                "figures": check.get("metrics") or None,
            }
        )
    wanted = asked_for or line.build.name
    chosen = next(build for build in builds if build["name"] == wanted)
    model = {**line.document(), "builds": builds}
    return {"line": line, "model": model, "build": chosen, "named": asked_for is not None}


def _require_usable(listing: Listing, build: str) -> None:
    """Refuse a build that a model does not have, or of a format that cannot be used."""
    from zoo.catalogs.formats import require_described

    format = next((each.format for each in listing.builds if each.name == build), None)
    require_described(format or listing.read().pick(build)[1].format)


def _title(column: dict[str, Any]) -> str:
    ref, build = column["model"]["ref"], column["build"]["name"]
    return f"{ref}/{build}" if column["named"] else str(ref)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


Ask = Callable[[dict[str, Any]], str]
ROWS: tuple[tuple[str, Ask], ...] = (
    ("title", lambda c: c["model"]["title"]),
    ("summary", lambda c: c["model"]["summary"]),
    ("task", lambda c: c["line"].facts.label),
    ("license", lambda c: c["model"]["license_name"]),
    ("may I ship it?", lambda c: ANSWERS[c["model"]["commercial"]]),
    ("gated", lambda c: _yes(c["model"]["gated"])),
    ("pinned", lambda c: _yes(c["model"]["pinned"])),
    ("languages", lambda c: _languages(c["model"]["languages"])),
    ("parameters", lambda c: count(c["model"]["parameters"])),
    ("context", lambda c: f"{c['model']['context']:,}" if c["model"]["context"] else "-"),
    ("download", lambda c: catalog_table.size(c["line"].facts)),
    ("formats", lambda c: ", ".join(c["model"]["formats"])),
    ("build", lambda c: c["build"]["name"]),
    ("bits", lambda c: f"{c['build']['bits_per_weight']:.4g}"),
    ("on disk", lambda c: _disk(c["build"])),
    ("memory", lambda c: f"~{human(c['build']['memory_bytes'])}"),
    ("fits here", lambda c: _yes(c["build"]["fits"])),
    ("minimum OS", lambda c: c["build"]["minimum_os"] or "any"),
)


def _disk(build: dict[str, Any]) -> str:
    return f"{'' if build['disk_exact'] else '~'}{human(build['disk_bytes'])}"


def _languages(codes: list[str]) -> str:
    from zoo.catalogs.languages import language_names

    return language_names(tuple(codes)) or "-"
