"""`zoo lint`: what is known to go wrong with a Core ML package on Apple devices.

JSON: {ref, target, system, findings: [{id, title, effect, package, function, count, operations,
kinds, detail, layers, outcome, remedy, source, trust}], accepted: {id: reason}, placement:
[{package, function, operations, shares: {unit: share}, switches}]}.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import click

from zoo import api
from zoo.cli import options, output, plan_report
from zoo.cli.drawing import drawing
from zoo.cli.output import Column
from zoo.errors import Exit, InputError, UsageError
from zoo.reports.findings import EFFECTS, Effect, Finding, LintReport, Placement

COLUMNS = (
    Column("RULE"),
    Column("EFFECT"),
    Column("PLACES", right=True),
    Column("WHAT"),
    Column("FIRST PLACE", drop=1),
)


@click.command(name="lint")
@options.model
@options.build_choice
@click.option(
    "--for",
    "target",
    default="any",
    show_default=True,
    help="iphone-neural-engine, iphone, gpu, mac-gpu, mac or any.",
)
@click.option("--os", "system", help="Only findings for this system, such as ios18 or macos15.")
@click.option(
    "--fail-on",
    type=click.Choice(EFFECTS),
    default="silent",
    show_default=True,
    help="Exit with 1 for findings of this effect or worse.",
)
@click.option("--html", type=click.Path(path_type=Path), help="Write a page to this file.")
@click.option(
    "--compare-plan",
    type=click.Path(path_type=Path),
    help="Write here how Core ML's own plan differs from the prediction; on a Mac.",
)
@click.option("--sarif", is_flag=True, help="Print a SARIF 2.1.0 document.")
@options.as_json
@options.quiet
def command(
    name: str,
    build: str | None,
    format: str | None,
    family: str | None,
    target: str,
    system: str | None,
    fail_on: str,
    html: Path | None,
    compare_plan: Path | None,
    sarif: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Find known device faults in a Core ML package.

    NAME is a model, which is built first if needed, or the path of any .mlpackage. Effects, worst
    first: silent (wrong numbers), refused (does not compile, load or run), slow
    (leaves the Neural Engine), note.
    """
    if as_json and sarif:
        raise UsageError("give either --json or --sarif, not both")
    with drawing(quiet) as listener:
        report = api.lint(
            name,
            target=target,
            system=system,
            plan=compare_plan is not None,
            build=build,
            format=format,
            family=family,
            listener=listener,
        )
    if html is not None:
        from zoo.site.lint import page

        _write(html, page(name, report))
    if compare_plan is not None:
        _write(compare_plan, json.dumps(plan_report.compare(name, report), indent=1) + "\n")
    if as_json:
        output.document({"ref": name, **report.to_dict()})
    elif sarif:
        _print_sarif(name, report)
    elif html is None:
        _print(report)
    return Exit.NEGATIVE if report.at_least(cast(Effect, fail_on)) else Exit.OK


def _print(report: LintReport) -> None:
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in report.findings:
        alike.setdefault((finding.id, finding.package, finding.title), []).append(finding)
    output.table(COLUMNS, [_row(findings) for findings in alike.values()])
    for finding in {finding.id: finding for finding in report.findings}.values():
        output.tell()
        output.tell(f"{finding.id}  {finding.outcome}")
        output.tell(f"    Fix: {finding.remedy}")
        output.tell(f"    {finding.source}")
        if finding.id in report.accepted:
            output.tell(f"    Accepted by the recipe: {report.accepted[finding.id]}")
    if not report.findings:
        output.tell(f"No known fault for {report.target}.")
    if report.placements:
        output.tell()
    for placed in report.placements:
        shares = ", ".join(f"{share:.0%} {unit}" for unit, share in placed.shares.items())
        output.tell(
            f"Prediction for {placed.package}, function {placed.function}: {shares} of "
            f"{len(placed.units)} operations; {placed.switches} switches between units."
        )
        if placed.planned:
            output.tell(_compared(placed))


def _compared(placed: Placement) -> str:
    """How far the system's own plan agrees with the prediction, in words."""
    differences = placed.differences()
    differing = sum(case["count"] for case in differences)
    several = "; ".join(
        f"{case['count']} {case['kind']} {case['predicted']} -> {case['planned']}"
        for case in differences[:5]
    )
    agreed = f"Core ML's plan agrees on {len(placed.compared) - differing} of "
    return f"{agreed}{len(placed.compared)} operations{': ' + several if several else ''}."


def _row(findings: list[Finding]) -> tuple[object, ...]:
    """One line for the findings of one rule in all functions of a package."""
    finding, place = findings[0], findings[0].places[0]
    functions = ", ".join(each.function for each in findings)
    detail = f" ({place.detail})" if place.detail else ""
    return (
        finding.id,
        finding.effect,
        sum(len(each.places) for each in findings),
        f"{finding.title} [{finding.package}: {functions}]",
        f"{place.layer + ': ' if place.layer else ''}{place.op}{detail}",
    )


def _print_sarif(name: str, report: LintReport) -> None:
    from importlib.metadata import version

    from zoo.cli.sarif import to_sarif

    output.tell(json.dumps(to_sarif(report, name, version("zoo-ml")), indent=1))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    output.note(f"wrote {path}")
