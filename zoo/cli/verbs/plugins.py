"""`zoo plugins`: what is installed, from package metadata alone.

JSON: {plugins: [{kind, name, distribution, version, module, status, missing, install, reason}]}.
`kind` is family, format, format description, task, scorer, tiny checkpoint, catalog or builds;
`status` is ok, missing packages, conflict or, with --check only, broken. Exit code 8 when --check
finds one broken or in conflict.

With --contract FAMILY.FORMAT, JSON: {pair, claims: [{claim, status, reason, promise}]}, where
`status` is kept, broken or not tried. Exit code 8 when one is broken.
"""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import options, output
from zoo.cli.output import Column
from zoo.discovery import (
    BUILDS,
    CATALOGS,
    DESCRIPTIONS,
    FAMILIES,
    FORMATS,
    KINDS,
    TASKS,
    TINY,
    Provider,
    providers,
)
from zoo.errors import Exit, MissingExtra, UsageError, ZooError

COLUMNS = (
    Column("KIND"),
    Column("NAME"),
    Column("DISTRIBUTION", drop=2),
    Column("VERSION", drop=1),
    Column("STATUS"),
    Column("FIX", drop=3),
)


@click.command(name="plugins")
@click.option("--check", is_flag=True, help="Import each, and say which are broken.")
@click.option(
    "--contract", metavar="FAMILY.FORMAT",
    help="Try on one pair what zoo expects of a plugin, claim by claim.",
)  # fmt: skip
@click.option("--recipe", metavar="MODEL", help="The model of --contract; a tiny one by default.")
@click.option("--build", metavar="NAME", help="The build of --recipe; by default the first.")
@options.as_json
def command(
    check: bool, contract: str | None, recipe: str | None, build: str | None, as_json: bool
) -> int:
    """List the installed plugins."""
    if contract is not None:
        from zoo.cli.contract_page import show_contract

        return show_contract(contract, recipe, build, as_json=as_json)
    if recipe or build:
        raise UsageError("--recipe and --build go with --contract")
    found = installed()
    if check:
        for plugin in found:
            _check(plugin)
    if as_json:
        output.document({"plugins": found})
    else:
        output.table(COLUMNS, map(_row, found))
    bad = check and any(p["status"] in ("broken", "conflict") for p in found)
    return Exit.PLUGIN if bad else Exit.OK


def installed() -> list[dict[str, Any]]:
    """Every entry point of ours, with its status."""
    return [
        _described(group, provider, claims)
        for group in KINDS
        for claims in providers(group).values()
        for provider in claims
    ]


def _described(group: str, provider: Provider, claims: tuple[Provider, ...]) -> dict[str, Any]:
    missing = provider.missing()
    others = [str(p) for p in claims if p is not provider]
    status = "conflict" if others else "missing packages" if missing else "ok"
    return {
        "kind": KINDS[group],
        "name": provider.name,
        "distribution": provider.distribution,
        "version": provider.version,
        "module": provider.value,
        "status": status,
        "missing": missing,
        "install": provider.install if missing else None,
        "reason": f"{' and '.join(others)} claims the same" if others else None,
    }


def _check(plugin: dict[str, Any]) -> None:
    """Load one plugin, and note in it why that fails."""
    if plugin["status"] != "ok":
        return
    try:
        _load(plugin["kind"], plugin["name"])
    except MissingExtra as error:
        plugin.update(status="missing packages", reason=error.message, install=error.hint)
    except ZooError as error:
        plugin.update(status="broken", reason=error.message)


def _load(kind: str, name: str) -> None:
    if kind == KINDS[CATALOGS]:
        from zoo.catalogs.catalog import open_catalog

        if name in (problems := open_catalog().problems):
            raise problems[name]
    elif kind == KINDS[FAMILIES]:
        from zoo.family import Family

        family, _, format = name.rpartition(".")
        Family(family, format)
    elif kind == KINDS[FORMATS]:
        from zoo.family import load_plugin

        load_plugin(providers(FORMATS)[name][0])
    elif kind == KINDS[DESCRIPTIONS]:
        from zoo.catalogs.formats import described

        described(name)
    elif kind == KINDS[TASKS]:
        from zoo.tasks.registry import task_of

        task_of(name)
    elif kind == KINDS[BUILDS]:
        from zoo.catalogs.catalog import open_catalog

        origin = providers(BUILDS)[name][0]
        if str(origin) in (problems := open_catalog().offers.problems):
            raise problems[str(origin)]
    elif kind == KINDS[TINY]:
        providers(TINY)[name][0].load()
    else:
        from zoo.family import load_scorer

        load_scorer(name)


def _row(plugin: dict[str, Any]) -> tuple[object, ...]:
    fix = plugin["install"] or plugin["reason"] or ""
    return (
        plugin["kind"],
        plugin["name"],
        plugin["distribution"],
        plugin["version"],
        plugin["status"],
        output.one_line(fix),
    )
