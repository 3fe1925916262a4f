"""Checks: the figures of a build, by the measure of the recipe's task.

A measure runs the source and the build through the same `Model` interface and returns figures; a
verdict holds them against the recipe's limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo.catalogs.recipe import Build, Recipe
from zoo.tasks.registry import task_of

if TYPE_CHECKING:
    from zoo.tasks.model import Model
    from zoo.tasks.task import Scorer


def limits_of(recipe: Recipe, build: Build) -> dict[str, float]:
    """The limits for a build: its own over the recipe's."""
    return {**(recipe.check.limits if recipe.check else {}), **build.limits}


def measure(
    recipe: Recipe,
    source: Callable[[], Model],
    build: Callable[[], Model],
    scorer: Scorer | None = None,
) -> dict[str, float]:
    """The figures of a build, by the measure of the recipe's task.

    Those of the build with an adapter begin with its name: `pirate:top1`. The scorer expects what
    the model makes without one, and figures that say so of themselves are left out.
    """
    assert recipe.check is not None
    task = task_of(recipe.task)
    inputs = [recipe.home / path for path in recipe.check.inputs]
    figures = task.measure(inputs, source, build, scorer)
    for name in recipe.adapter:
        found = task.measure(inputs, _using(name, source), _using(name, build))
        for figure, value in found.items():
            metric = task.metric(figure)
            if metric is None or metric.adapters:
                figures[f"{name}:{figure}"] = value
    return figures


def _using(adapter: str, load: Callable[[], Model]) -> Callable[[], Model]:
    def loaded() -> Model:
        model = load()
        model.use(adapter)
        return model

    return loaded
