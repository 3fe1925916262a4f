"""The lint of a build before it is published: it is part of the check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.catalogs.formats import target_of
from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import InputError, NotFound
from zoo.reports.findings import LintReport
from zoo.tasks.verdict import Verdict

if TYPE_CHECKING:
    from zoo.family import Family


def lint_build(family: Family, recipe: Recipe, build: Build, path: Path) -> LintReport | None:
    """What the lint finds in the build at `path`, for its own target.

    Returns: `None` where the format has no lint, or the build holds nothing that it can read, such
    as a model of another kind.
    """
    target = target_of(recipe, build)
    if target is None or family.answers("lint") is None:
        return None
    try:
        report = family.lint(recipe, build, path, target, None)
    except (InputError, NotFound):
        return None
    return replace(report, accepted=build.lint.accept)


def with_lint(verdict: Verdict, report: LintReport | None) -> Verdict:
    """The verdict of a check, failed by every silent finding that the recipe does not accept."""
    if report is None:
        return verdict
    verdict = replace(verdict, lint=report.summary())
    worst = {finding.id: finding for finding in report.at_least("silent")}
    if not worst:
        return verdict
    said = "; ".join(f"{f.id}, {f.title}: {f.outcome.rstrip('.')}" for f in worst.values())
    reason = f"the lint for {report.target} found {said}"
    before = verdict.reason if verdict.status == "failed" else ""
    return replace(verdict, status="failed", reason="; ".join(filter(None, (before, reason))))
