"""Checks: the figures of a build, by the measure of the recipe's task.

A measure runs the source and the build through the same `Model` interface and returns figures; a
verdict holds them against the recipe's limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.catalogs.recipe import Build, Recipe
from zoo.progress import Progress
from zoo.store.reports import CHECK, Reports
from zoo.tasks.examples import Example, collecting
from zoo.tasks.registry import task_of

if TYPE_CHECKING:
    from zoo.tasks.model import Model
    from zoo.tasks.task import Scorer


def limits_of(recipe: Recipe, build: Build) -> dict[str, float]:
    """The limits for a build: its own over the recipe's."""
    return recipe.limits_of(build)


@dataclass(frozen=True)
class Measured:
    """Figures by name, and the adapters of the recipe that could not be measured."""

    figures: dict[str, float]
    unmeasured: tuple[str, ...] = ()


def measure(
    recipe: Recipe,
    source: Callable[[], Model],
    build: Callable[[], Model],
    scorer: Scorer | None = None,
    examples: dict[str, list[Example]] | None = None,
    progress: Progress | None = None,
) -> Measured:
    """The figures of a build, by the measure of the recipe's task.

    Those of the build with an adapter begin with its name: `pirate:top1`. An adapter that the
    source or the build cannot use, as their formats have none, is not measured. The scorer expects
    what the model makes without one, and figures that say so of themselves are left out.

    Args:
        recipe: with a check.
        source, build: load the models.
        scorer: the one that the check names, if any.
        examples: receives a few outputs by adapter, those without one under the empty name.
        progress: receives how many models are through, of the source and the build, without an
            adapter and with each.
    """
    assert recipe.check is not None
    task = task_of(recipe.task)
    inputs = [recipe.home / path for path in recipe.check.inputs]
    usable = set(recipe.adapter)
    counter = _Counter(progress or Progress("check"), 2 + 2 * len(recipe.adapter))
    source, build = counter.counting(source), counter.counting(build)
    pair = _noting(source, usable), _noting(build, usable)
    figures = _collected("", examples, partial(task.measure, inputs, *pair, scorer))
    unmeasured = tuple(name for name in recipe.adapter if name not in usable)
    counter.total -= 2 * len(unmeasured)
    for name in recipe.adapter:
        if name in unmeasured:
            continue
        pair = _using(name, source), _using(name, build)
        found = _collected(name, examples, partial(task.measure, inputs, *pair))
        for figure, value in found.items():
            metric = task.metric(figure)
            if metric is None or metric.adapters:
                figures[f"{name}:{figure}"] = value
    return Measured(figures, unmeasured)


@dataclass
class _Counter:
    """Counts the models that a check is through with: each time another one is loaded."""

    progress: Progress
    total: int
    loaded: int = 0

    def counting(self, load: Callable[[], Model]) -> Callable[[], Model]:
        """`load`, which says before how many models are through."""

        def loaded() -> Model:
            self.progress.update(self.loaded, max(self.total, self.loaded), "models")
            self.loaded += 1
            return load()

        return loaded


def _noting(load: Callable[[], Model], names: set[str]) -> Callable[[], Model]:
    """`load`, which leaves in `names` only the adapters that the model has."""

    def loaded() -> Model:
        model = load()
        names.intersection_update(model.adapters)
        return model

    return loaded


def _collected(
    adapter: str,
    examples: dict[str, list[Example]] | None,
    measured: Callable[[], dict[str, float]],
) -> dict[str, float]:
    if examples is None:
        return measured()
    with collecting() as examples[adapter]:
        return measured()


def write_examples(
    reports: Reports, key: str, recipe: Recipe, examples: dict[str, list[Example]]
) -> None:
    """Write examples beside a build.

    Args:
        reports: those of the store.
        key: the key of the build.
        recipe: input files are named as it names them.
        examples: outputs by adapter.
    """
    listed: list[dict[str, str]] = []
    files: dict[str, bytes] = {}
    for adapter, found in examples.items():
        for example in found:
            entry = {"adapter": adapter, "input": _relative(example.input, recipe.home)}
            entry |= {"output": example.output, "expected": example.expected}
            for name in ("image", "expected_image"):
                if data := getattr(example, name):
                    entry[name] = f"{name.replace('_', '-')}-{len(listed)}.png"
                    files[entry[name]] = data
            listed.append(entry)
    if listed:
        reports.write(key, CHECK, {"examples": listed}, files)


def _relative(input: str, home: Path) -> str:
    """An input as the recipe names it, if it is a file beside it."""
    path = Path(input)
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else input


def _using(adapter: str, load: Callable[[], Model]) -> Callable[[], Model]:
    def loaded() -> Model:
        model = load()
        model.use(adapter)
        return model

    return loaded
