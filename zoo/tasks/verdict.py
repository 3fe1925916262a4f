"""Checks: how far a build strays from its source, measured on the same inputs.

A measure runs the source and the build through the same `Model` interface and returns figures;
a verdict holds them against the recipe's limits. Tasks add their measure to `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

from zoo.errors import RecipeError
from zoo.tasks.pictures.check import Scorer, measure_pictures
from zoo.tasks.speech.check import measure_speech
from zoo.tasks.task import Measure
from zoo.tasks.text.check import measure_text
from zoo.words import suggest

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe
    from zoo.tasks.model import Model

HIGHER, LOWER = "at least", "at most"
BETTER = {
    "top1": HIGHER,
    "kl": LOWER,
    "perplexity_ratio": LOWER,
    "token_agreement": HIGHER,
    "wer": LOWER,
    "scorer": HIGHER,
    "scorer_loss": LOWER,
}
"""Figures that a recipe can limit, beside those that end with `_psnr`: of these more is better."""

PSNR = "_psnr"


OF_THE_TEXT = {"perplexity", "source_perplexity", "perplexity_ratio", "positions"}
"""Figures on how likely a text is. An adapter writes other texts, and is not held to these."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: figures, the limits they were held against, and what broke them."""

    status: Literal["passed", "failed", "not run"]
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    tools: dict[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        figures = ", ".join(f"{k} {v:.4g}" for k, v in self.metrics.items())
        return " - ".join(part for part in (self.status, self.reason, figures) if part)


def judge(
    metrics: dict[str, float], limits: dict[str, float], tools: dict[str, str | None]
) -> Verdict:
    """Hold figures against limits; a figure that is not a number breaks every limit."""
    broken = [f"{name} was not measured" for name in limits if name not in metrics]
    for figure, value in metrics.items():
        name = figure.rpartition(":")[2]
        if name not in limits:
            continue
        limit = limits[name]
        if not holds(name, value, limit):
            broken.append(f"{figure} is {value:.4g}, must be {better(name)} {limit:g}")
    status: Literal["passed", "failed"] = "failed" if broken else "passed"
    return Verdict(status, "; ".join(broken), metrics, limits, tools)


def better(figure: str) -> str | None:
    """Whether a limit of this figure is what it must be `at least`, or `at most`."""
    return HIGHER if figure.endswith(PSNR) else BETTER.get(figure)


def holds(figure: str, value: float, limit: float) -> bool:
    """Whether a figure keeps its limit; one that is not a number does not."""
    return value >= limit if better(figure) == HIGHER else value <= limit


def limits_of(recipe: Recipe, build: Build) -> dict[str, float]:
    """The limits for a build: its own over the recipe's.

    Raises:
        RecipeError: a limit on a figure that nobody measures.
    """
    limits = {**(recipe.check.limits if recipe.check else {}), **build.limits}
    for name in limits:
        if better(name) is None:
            known = [*BETTER, f"...{PSNR}"]
            raise RecipeError(
                f"recipe '{recipe.ref}' limits '{name}', which no check measures"
                + (suggest(name, BETTER) or f": there are {', '.join(known)}")
            )
    return limits


def measure(
    recipe: Recipe,
    source: Callable[[], Model],
    build: Callable[[], Model],
    scorer: Scorer | None = None,
) -> dict[str, float]:
    """The figures of a build, by the measure of the recipe's task.

    Those of the build with an adapter begin with its name: `pirate:top1`. An adapter draws other
    pictures than the scorer expects, and is not held to it.
    """
    assert recipe.check is not None
    inputs = [recipe.home / path for path in recipe.check.inputs]
    take = MEASURES[recipe.task]
    whole = partial(measure_pictures, scorer=scorer) if scorer else take
    figures = whole(inputs, source, build)
    for name in recipe.adapter:
        with_adapter = take(inputs, _using(name, source), _using(name, build))
        figures |= {f"{name}:{k}": v for k, v in with_adapter.items() if k not in OF_THE_TEXT}
    return figures


def _using(adapter: str, load: Callable[[], Model]) -> Callable[[], Model]:
    def loaded() -> Model:
        model = load()
        model.use(adapter)
        return model

    return loaded


MEASURES: dict[str, Measure] = {
    "text-generation": measure_text,
    "automatic-speech-recognition": measure_speech,
    "text-to-image": measure_pictures,
}
