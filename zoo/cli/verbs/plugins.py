"""`zoo plugins`: what is installed, from package metadata alone.

JSON: {plugins: [{kind, name, distribution, version, module, status, missing, install, reason}],
problems}. `kind` is family, format, format description, task, scorer, tiny checkpoint, catalog or
builds; `status` is ok, missing packages, conflict, off (`ZOO_PLUGINS_OFF`, or plugins.toml) or,
with --check only, broken. `problems` are entry points that cannot be read, a sentence each. With
--check each plugin has `seconds`, that loading it took, and `heavy`, the heavy packages that it
imported. Exit code 8 when --check finds one broken, in conflict or unreadable.

JSON of --hooks: {pairs: [{name, hooks: {hook: distribution or null}, problem}]}.
JSON of --freeze: {requirements}.
With --contract FAMILY.FORMAT, JSON: {pair, claims: [{claim, status, reason, promise}]}, where
`status` is kept, broken or not tried. Exit code 8 when one is broken.
"""

from __future__ import annotations

from typing import Any

import click

from zoo.cli import installed, options, output
from zoo.cli.output import Column
from zoo.errors import Exit, UsageError
from zoo.registry.discovery import unreadable

COLUMNS = (
    Column("KIND"),
    Column("NAME"),
    Column("DISTRIBUTION", drop=2),
    Column("VERSION", drop=1),
    Column("STATUS"),
    Column("SECONDS", right=True, drop=4),
    Column("FIX", drop=3),
)


@click.command(name="plugins")
@click.option("--check", is_flag=True, help="Import each plugin and report broken ones.")
@click.option("--timing", is_flag=True, help="Import each plugin and print the time it takes.")
@click.option("--hooks", is_flag=True, help="Print which distribution implements which hook.")
@click.option("--freeze", is_flag=True, help="Print requirements that install the same plugins.")
@click.option(
    "--contract", metavar="FAMILY.FORMAT",
    help="Run the plugin contract tests on one pair.",
)  # fmt: skip
@click.option("--recipe", metavar="MODEL", help="The model of --contract; a tiny one by default.")
@click.option("--build", metavar="NAME", help="The build of --recipe; by default the first.")
@options.as_json
def command(
    check: bool,
    timing: bool,
    hooks: bool,
    freeze: bool,
    contract: str | None,
    recipe: str | None,
    build: str | None,
    as_json: bool,
) -> int:
    """List the installed plugins."""
    if contract is not None:
        from zoo.cli.contract_page import show_contract

        return show_contract(contract, recipe, build, as_json=as_json)
    if recipe or build:
        raise UsageError("--recipe and --build go with --contract")
    if freeze:
        lines = installed.frozen()
        return _show({"requirements": lines}, "\n".join(lines), as_json)
    if hooks:
        return _show_hooks(as_json)
    found, problems = installed.installed(), unreadable()
    for plugin in found if check or timing else ():
        installed.check(plugin)
    if as_json:
        output.document({"plugins": found, "problems": problems})
    else:
        output.table(COLUMNS, (_row(plugin, timing) for plugin in found))
        for problem in problems:
            output.warn(f"warning: {output.one_line(problem)}")
    bad = problems or any(p["status"] in ("broken", "conflict") for p in found)
    return Exit.PLUGIN if check and bad else Exit.OK


def _show_hooks(as_json: bool) -> int:
    pairs = list(installed.hooks())
    if as_json:
        output.document({"pairs": pairs})
        return Exit.OK
    columns = [Column("NAME"), *(Column(hook.upper()) for hook in pairs[0]["hooks"])]
    output.table(columns, ((p["name"], *p["hooks"].values()) for p in pairs if not p["problem"]))
    for pair in pairs:
        if pair["problem"]:
            output.warn(f"warning: {pair['name']}: {output.one_line(pair['problem'])}")
    return Exit.OK


def _show(data: dict[str, Any], text: str, as_json: bool) -> int:
    if as_json:
        output.document(data)
    else:
        output.tell(text)
    return Exit.OK


def _row(plugin: dict[str, Any], timing: bool) -> tuple[object, ...]:
    fix = plugin["install"] or plugin["reason"] or ""
    if timing and plugin.get("heavy"):
        fix = f"imports {', '.join(plugin['heavy'])}; import them inside functions"
    return (
        plugin["kind"],
        plugin["name"],
        plugin["distribution"],
        plugin["version"],
        plugin["status"],
        f"{plugin['seconds']:.3f}" if timing and "seconds" in plugin else "",
        output.one_line(fix),
    )
