"""Core ML builds of small random checkpoints, made by the hooks themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.catalogs.recipe import Build, Optimization, Recipe
from zoo.catalogs.source import Source
from zoo.formats.coreml.language.spec import PACKAGE
from zoo.formats.coreml.package.reader import Package
from zoo.formats.coreml.plugin import optimize as optimize_hook
from zoo.progress import Progress


@dataclass
class Notes:
    """A listener that keeps what is said."""

    said: list[str] = field(default_factory=list)

    def __call__(self, event: Any) -> None:
        if event.state == "note":
            self.said.append(event.message)


def make_build(
    plugin: ModuleType,
    source: Path,
    folder: Path,
    *passes: dict[str, Any],
    notes: Notes | None = None,
    adapters: dict[str, Path] | None = None,
    **options: Any,
) -> Path:
    """Convert `source` in `folder` and, with passes, optimize it; the folder of the result.

    Passes are as in a recipe; options are the build's.
    """
    build = _build(passes, options)
    recipe = make_recipe(source, build)
    progress = Progress("convert", notes or Notes())
    converted = folder / "converted"
    converted.mkdir(parents=True)
    arguments = {
        "recipe": recipe,
        "build": build,
        "source": source,
        "adapters": adapters or {},
        "workdir": converted,
        "progress": progress,
    }
    wanted = signature(plugin.convert).parameters
    plugin.convert(**{name: value for name, value in arguments.items() if name in wanted})
    if not passes:
        return converted
    return optimize_build(plugin, source, converted, folder, *passes, notes=notes, **options)


def optimize_build(
    plugin: ModuleType,
    source: Path,
    converted: Path,
    folder: Path,
    *passes: dict[str, Any],
    notes: Notes | None = None,
    defaults: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Optimize what was converted from `source`, in `folder`; the folder of the result."""
    build = _build(passes, options)
    recipe = make_recipe(source, build, defaults=defaults or {})
    optimized = folder / "optimized"
    optimized.mkdir(parents=True)
    hook = getattr(plugin, "optimize", optimize_hook)
    return hook(recipe, build, converted, optimized, Progress("optimize", notes or Notes()))


def make_recipe(source: Path, build: Build, **fields: Any) -> Recipe:
    """The recipe of a checkpoint with one build; `fields` take the place of others."""
    made = {
        "schema": 1,
        "family": source.parent.name,
        "title": "Test",
        "summary": "for tests",
        "task": "text-generation",
        "license": "MIT",
        "parameters": 1,
        "source": Source(folder=source.name),
        "build": {"coreml": build},
        "ref": "test",
        "home": source.parent,
    }
    return Recipe(**{**made, **fields})


def _build(passes: Sequence[dict[str, Any]], options: dict[str, Any]) -> Build:
    given = tuple(Optimization(step.pop("kind"), step) for step in map(dict, passes))
    return Build("coreml", given, options)


def operations(package: Path, function: str | None = None) -> Counter[str]:
    """How often each operation is in a function of a saved package."""
    _, block = Package(package).function(function)
    return Counter(operation.type for operation in block.operations)


def package_of(build: Path) -> Path:
    return build / PACKAGE
