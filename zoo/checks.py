"""Checks: how far a build strays from its source, measured on the same inputs.

A measure runs the source and the build through the same `Model` interface and returns figures;
a verdict holds them against the recipe's limits. Tasks add their measure to `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from zoo.check_speech import measure_speech
from zoo.errors import RecipeError
from zoo.recipe import Build, Recipe
from zoo.schema import suggest

if TYPE_CHECKING:
    from zoo.models import Model, TextModel

LONG, SHORT, POSITIONS = 768, 64, 1024

HIGHER, LOWER = "at least", "at most"
BETTER = {
    "top1": HIGHER,
    "kl": LOWER,
    "perplexity_ratio": LOWER,
    "encoder_psnr": HIGHER,
    "token_agreement": HIGHER,
    "wer": LOWER,
}


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
        good = value >= limit if BETTER[name] == HIGHER else value <= limit
        if not good:
            broken.append(f"{figure} is {value:.4g}, must be {BETTER[name]} {limit:g}")
    status: Literal["passed", "failed"] = "failed" if broken else "passed"
    return Verdict(status, "; ".join(broken), metrics, limits, tools)


def limits_of(recipe: Recipe, build: Build) -> dict[str, float]:
    """The limits for a build: its own over the recipe's.

    Raises:
        RecipeError: a limit on a figure that nobody measures.
    """
    limits = {**(recipe.check.limits if recipe.check else {}), **build.limits}
    for name in limits:
        if name not in BETTER:
            raise RecipeError(
                f"recipe '{recipe.ref}' limits '{name}', which no check measures"
                + (suggest(name, BETTER) or f": there are {', '.join(BETTER)}")
            )
    return limits


def measure(
    recipe: Recipe, source: Callable[[], Model], build: Callable[[], Model]
) -> dict[str, float]:
    """The figures of a build, by the measure of the recipe's task.

    Those of the build with an adapter begin with its name: `pirate:top1`.
    """
    assert recipe.check is not None
    inputs = [recipe.home / path for path in recipe.check.inputs]
    take = MEASURES[recipe.task]
    figures = take(inputs, source, build)
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


def measure_text(
    inputs: list[Path], source: Callable[[], Model], build: Callable[[], Model]
) -> dict[str, float]:
    """Agreement of two language models, position by position, on the same text.

    Both see the same tokens at every position (teacher forcing), so one differing choice does
    not spoil what follows. A long window comes first, then short ones, 1,024 positions in all.

    Returns:
        top1: share of positions where both find the same token likeliest.
        kl: mean Kullback-Leibler divergence from source to build, in nats.
        perplexity, source_perplexity: on the text itself.
        perplexity_ratio: the first over the second.
        positions: how many were compared.
    """
    import numpy as np

    with cast("TextModel", source()) as reference:
        text = "\n\n".join(path.read_text(encoding="utf-8") for path in inputs)
        windows = list(_windows(reference.encode(text), reference.context))
        expected = [_log_probabilities(reference.logits(window)) for window in windows]
    agree, divergence, surprise, source_surprise = [], [], [], []
    with cast("TextModel", build()) as model:
        for window, wanted in zip(windows, expected, strict=True):
            found = _log_probabilities(model.logits(window))
            agree.append(found.argmax(-1) == wanted.argmax(-1))
            divergence.append((np.exp(wanted) * (wanted - found)).sum(-1))
            following = np.arange(len(window) - 1), np.asarray(window[1:])
            surprise.append(-found[following])
            source_surprise.append(-wanted[following])
    perplexity = float(np.exp(np.concatenate(surprise).mean()))
    source_perplexity = float(np.exp(np.concatenate(source_surprise).mean()))
    return {
        "top1": float(np.concatenate(agree).mean()),
        "kl": float(np.concatenate(divergence).mean()),
        "perplexity_ratio": perplexity / source_perplexity,
        "perplexity": perplexity,
        "source_perplexity": source_perplexity,
        "positions": float(sum(map(len, windows))),
    }


def _windows(tokens: list[int], context: int | None) -> Iterator[list[int]]:
    start = 0
    while start < min(POSITIONS, len(tokens)):
        longest = LONG if start == 0 else SHORT
        length = min(longest, context or longest, POSITIONS - start)
        if len(window := tokens[start : start + length]) > 1:
            yield window
        start += length


def _log_probabilities(logits: Any) -> Any:
    import numpy as np

    wide = np.asarray(logits, dtype=np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))


Measure = Callable[[list[Path], Callable[[], "Model"], Callable[[], "Model"]], dict[str, float]]
MEASURES: dict[str, Measure] = {
    "text-generation": measure_text,
    "automatic-speech-recognition": measure_speech,
}
