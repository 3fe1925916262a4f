"""Comparing a build with its source, or with the nearest thing to it that runs here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zoo import machine
from zoo.catalogs import estimates
from zoo.catalogs.formats import format_of
from zoo.catalogs.pairs import formats_for, runner, usable
from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import PluginError
from zoo.files.digests import sha256
from zoo.pipeline.checks import Measured, limits_of
from zoo.tasks.registry import task_of
from zoo.tasks.verdict import Verdict, judge
from zoo.words import human

Tools = dict[str, str | None]

NO_LIMITS = "no limits apply to a compressed build of your own checkpoint: judge the figures"


def verdict_on(recipe: Recipe, build: Build, measured: Measured, tools: Tools) -> Verdict:
    """What figures that were measured now are worth."""
    limits = limits_of(recipe, build)
    verdict = judge(task_of(recipe.task), measured.figures, limits, tools)
    verdict = replace(verdict, inputs=inputs_of(recipe))
    if not limits and verdict.status == "passed":
        verdict = replace(verdict, status="measured", reason=NO_LIMITS)
    if measured.unmeasured:
        names = ", ".join(measured.unmeasured)
        note = f"without its adapters, which {build.format} cannot use: {names}"
        verdict = replace(verdict, reason="; ".join(filter(None, (verdict.reason, note))))
    return verdict


def verdict_again(recipe: Recipe, build: Build, check: Mapping[str, Any] | None) -> Verdict | None:
    """What figures that were measured before are worth by the limits of now.

    Args:
        check: what the manifest of the build says of them.

    Returns: `None` where there are no figures, or what they were measured on has changed.
    """
    found = check or {}
    if not found.get("metrics") or found.get("inputs") != inputs_of(recipe):
        return None
    absent = {name for name in recipe.adapter if not any(
        figure.startswith(f"{name}:") for figure in found["metrics"])}  # fmt: skip
    measured = Measured(found["metrics"], tuple(sorted(absent)))
    return verdict_on(recipe, build, measured, found.get("tools", {}))


def inputs_of(recipe: Recipe) -> dict[str, str]:
    """The sha256 of each file that a recipe's check measures on."""
    files = recipe.check.inputs if recipe.check else ()
    return {name: sha256(recipe.home / name) for name in files}


def reference_format(recipe: Recipe, build: Build) -> str | None:
    """The format whose build without passes stands for the source, or `None`.

    The format that runs the source itself comes first; else one that is installed, the build's
    own among them if the build has passes: what they change is then measured.
    """
    installed = [name for name in formats_for(recipe.family) if usable(recipe.family, name)]
    candidates = [name for name in installed if name != build.format or build.optimize]
    order = sorted(candidates, key=lambda n: (not format_of(n).runs_source, format_of(n).rank))
    return order[0] if order else None


def cannot_check(recipe: Recipe, build: Build, *, forced: bool) -> Verdict | None:
    """The verdict on a build that cannot be compared here, or `None` when it can."""
    if format_of(build.format).runs_source:
        return Verdict("not run", "it is the source itself", why="source")
    if recipe.check is None:
        return Verdict("not run", "the recipe has no check", why="unable")
    if not task_of(recipe.task).metrics:
        return Verdict("not run", f"no check measures {recipe.task}", why="unable")
    reference = reference_format(recipe, build)
    if reference is None:
        return Verdict("not run", f"the source cannot run here: {_hint(recipe)}", why="unable")
    needed = estimates.memory_bytes(recipe, Build(format=reference))
    if needed > machine.memory() and not forced:
        reason = f"the source needs {human(needed)} of memory to run"
        return Verdict("not run", reason, why="unable")
    return None


def _hint(recipe: Recipe) -> str:
    """How to bring a format that runs the source."""
    for name in formats_for(recipe.family):
        if format_of(name).runs_source:
            try:
                runner(recipe.family, name).require()
            except PluginError as error:
                return error.message + (f"; {error.hint}" if error.hint else "")
    return f"no other format of {recipe.family} is installed to compare it with"
