"""What a recipe promises beyond its own form, checked when it is read and not after a conversion.

Passes are checked by the format's description, limits by the task, and the files that a check or
an adapter needs are looked for. Nothing here reads a model or imports the code of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from zoo.catalogs.formats import described, format_of
from zoo.display.interrupt import let_through
from zoo.errors import MissingPlugin, PluginError
from zoo.tasks import registry
from zoo.words import suggest

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe
    from zoo.catalogs.source import Source


def faults_of(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What is wrong with a recipe whose form is right: key path, and what is wrong there."""
    yield from registry.faults_of(recipe)
    for name, build in recipe.build.items():
        for path, message in _build_faults(recipe, build):
            yield f"build.{name}.{path}", message
    if recipe.check is not None:
        yield from _check_faults(recipe)
    for name, source in recipe.adapter.items():
        yield from _folder_faults(recipe, source, f"adapter.{name}")


def _build_faults(recipe: Recipe, build: Build) -> Iterator[tuple[str, str]]:
    yield from _of_format(recipe, build)
    yield from _not_finite(build.limits, "limits")
    yield from _lint_faults(build)
    if build.bits is not None and not 0 < build.bits <= 64:
        yield "bits", f"must be above 0 and at most 64, not {build.bits:g}"


def _of_format(recipe: Recipe, build: Build) -> Iterable[tuple[str, str]]:
    """The faults that the build's format finds, if its description is there and can be used."""
    try:
        return list(described(build.format).faults(recipe, build))
    except MissingPlugin:
        return ()
    except PluginError as error:
        return [("format", error.message)] if build.optimize else ()
    except BaseException as error:  # a stranger's description fails for its own recipes alone
        let_through(error)
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return [("format", f"the description of '{build.format}' failed: {text}")]


def _lint_faults(build: Build) -> Iterator[tuple[str, str]]:
    """What is wrong with the lint of a build, by the targets and rules of its format."""
    chosen = build.lint
    if chosen.target is None and not chosen.accept:
        return
    format = format_of(build.format)
    if not format.lint_targets:
        yield "lint", f"builds in the format '{build.format}' are not linted"
        return
    if chosen.target is not None and chosen.target not in format.lint_targets:
        close = suggest(chosen.target, format.lint_targets)
        known = ", ".join(format.lint_targets)
        yield "lint.target", f"must be one of {known}, not '{chosen.target}'{close}"
    rules = format.lint_rules() if chosen.accept else ()
    for rule in chosen.accept:
        if rule not in rules:
            yield f"lint.accept.{rule}", f"unknown rule{suggest(rule, rules)}"


def _check_faults(recipe: Recipe) -> Iterator[tuple[str, str]]:
    check = recipe.check
    assert check is not None
    if not check.inputs:
        yield "check.inputs", "must name a file to measure on"
    yield from _not_finite(check.limits, "check.limits")
    for number, name in enumerate(check.inputs):
        path = recipe.home / name
        if not path.is_file():
            yield f"check.inputs[{number}]", f"there is no file '{name}' beside the recipe"
        elif path.stat().st_size == 0:
            yield f"check.inputs[{number}]", f"'{name}' is empty: there is nothing to measure on"


def _not_finite(limits: Mapping[str, float], where: str) -> Iterator[tuple[str, str]]:
    for name, limit in limits.items():
        if not math.isfinite(limit):
            yield f"{where}.{name}", f"must be a finite number, not {limit}"


def _folder_faults(recipe: Recipe, source: Source, where: str) -> Iterator[tuple[str, str]]:
    folder = source.place(recipe.home) if source.folder is not None else None
    if folder is not None and not folder.is_dir():
        yield f"{where}.folder", f"there is no folder '{source.folder}' beside the recipe"
