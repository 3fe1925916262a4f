"""What a finished build takes to run, and what is known to go wrong with it on a device."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from zoo.catalogs.formats import format_of
from zoo.errors import InputError, UsageError, ZooError
from zoo.pipeline.pipeline import Pipeline
from zoo.store.reports import COST, Reports
from zoo.words import human

if TYPE_CHECKING:
    from zoo.reports.costs import Cost, Memory
    from zoo.reports.findings import LintReport

PROMPT = 256
"""Tokens of a prompt that go through a language model at once."""


def report_cost(pipeline: Pipeline, tokens: int | None, most: int | None = None) -> Cost:
    """What a build takes to run; what one token takes is written beside it.

    Args:
        pipeline: that of the build, which is made first if needed.
        tokens: number of tokens that a language model processes at once; `None` for one.
        most: bytes that making the build may write; `None` for no limit.

    Raises:
        UsageError: the format reports no costs, or making the build writes more than `most`.
    """
    family = pipeline.family()
    family.require_cost(pipeline.recipe)
    need = pipeline.plan().bytes_needed if most is not None else 0
    if most is not None and need > most:
        full = f"{pipeline.recipe.ref}/{pipeline.name}"
        raise UsageError(
            f"'{full}' is not built yet, and making it writes about {human(need)}",
            f"build it first: zoo build {full}, or allow it with -y",
            in_python=f'build it first: zoo.build("{full}"), or allow more bytes with most=',
        )
    folder = pipeline.store.view(pipeline.make())
    found = family.cost(pipeline.pinned, pipeline.build, folder, tokens)
    if tokens is None:
        layers = [asdict(layer) for layer in found.by_layer()]
        report = {"case": found.case, "layers": layers}
        Reports(pipeline.store.home).write(pipeline.keys.finished, COST, report)
    return replace(found, ref=pipeline.recipe.ref, build=pipeline.name)


def memory_of(pipeline: Pipeline) -> Memory | None:
    """What a finished build takes of memory; `None` where it is not there or cannot tell."""
    if not format_of(pipeline.build.format).reports_cost:
        return None
    try:
        artifact = pipeline.store.get(pipeline.keys.finished)
    except ZooError:
        return None
    if artifact is None:
        return None
    family, folder = pipeline.family(), pipeline.store.view(artifact)
    for tokens in (PROMPT, None):
        with suppress(InputError):
            return family.cost(pipeline.pinned, pipeline.build, folder, tokens).memory
    return None


def report_lint(
    pipeline: Pipeline, target: str, system: str | None, plan: bool = False
) -> LintReport:
    """What is known to go wrong with a build, which is made first if needed, on a device.

    Raises:
        UsageError: the target or system is unknown, or the format has no lint.
    """
    family, build = pipeline.family(), pipeline.build
    family.require_lint()
    report = family.lint(pipeline.pinned, build, pipeline.make().path, target, system, plan)
    return replace(report, accepted=build.lint.accept)
