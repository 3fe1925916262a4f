"""What a task is: what a model does for a person, in Python, in checks and on the command line.

A task is described by one small object, which an entry point in the group `zoo.tasks` names:

    [project.entry-points."zoo.tasks"]
    sentence-embeddings = "zoo_acme.task:TASK"

Its module imports only `zoo` and the standard library; what is heavier is imported inside the
methods. Recipes name the task by the entry point's name, `task = "sentence-embeddings"`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.errors import InputError
from zoo.words import suggest

if TYPE_CHECKING:
    import click

    from zoo.progress import Listener
    from zoo.tasks.model import Model
    from zoo.tasks.options import CallOptions

HIGHER: Literal["at least"] = "at least"
"""More of the figure is better: a limit is the least that it may be."""

LOWER: Literal["at most"] = "at most"
"""Less of the figure is better: a limit is the most that it may be."""

Output = Generator[str | bytes, None, dict[str, Any] | None] | Iterator[str | bytes] | Iterator[str]
"""Pieces for stdout as they come. A generator may return what `--json` prints in their place."""

Scorer = Callable[[Any, str], bool]
"""Whether an output shows its prompt. Plugins bring them by the entry point `zoo.scorers`."""


@dataclass(frozen=True)
class Metric:
    """A figure of a check.

    Attributes:
        meaning: one clause for people.
        better: whether a limit is what the figure must be `at least` or `at most`; `None` for a
            figure that is only reported, and that no recipe can limit.
        adapters: whether the figure is measured for a build with an adapter too.
    """

    meaning: str
    better: Literal["at least", "at most"] | None = None
    adapters: bool = True


@dataclass(frozen=True)
class Given:
    """The input of `zoo run`: an argument, or what came through a pipe."""

    argument: str | None = None
    piped: bytes = b""

    @property
    def text(self) -> str:
        """The input as text; a pipe's last line break is not part of it.

        Raises:
            InputError: what came through the pipe is not UTF-8.
        """
        if self.argument is not None:
            return self.argument
        try:
            return self.piped.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"the input is not UTF-8 text: {error}") from error


class Task:
    """A task. A plugin subclasses it and overrides what is different; only `model` must be.

    Attributes:
        title: what it is called in help, such as "Text generation".
        label: one short word for tables, such as "text"; the task's name where there is none.
        synonyms: other words that people search its models by.
        input: what INPUT is in the help of `zoo run`.
        example: what follows `zoo run NAME` where its use is shown, as typed in a shell.
        python_example: the same in Python, where the loaded model is called `model`.
        metrics: the figures that `measure` returns, by name. `*` in a name stands for any text, as
            in `*_psnr`.
        faithful: limits that every build without passes keeps, whatever the model is: a checkpoint
            without a recipe is held to them. Rounding is far within, a wrong conversion far beyond.
        scored: whether a recipe may name a scorer, which `measure` is then given.
        lines: whether `run` yields whole lines, so that nothing is printed after them.
    """

    title: str = ""
    label: str = ""
    synonyms: tuple[str, ...] = ()
    input: str = "the input"
    example: str = '"INPUT"'
    python_example: str = 'print(model("INPUT"))'
    metrics: ClassVar[Mapping[str, Metric]] = MappingProxyType({})
    faithful: ClassVar[Mapping[str, float]] = MappingProxyType({})
    scored: bool = False
    lines: bool = False

    def model(self) -> type[Model]:
        """The class that every model of the task is an instance of."""
        raise NotImplementedError(f"{type(self).__name__} does not say its model class")

    def options(self) -> type[CallOptions]:
        """The call options, which are also the options of `zoo run`; none by default."""
        from zoo.tasks.options import CallOptions

        return CallOptions

    def measure(
        self,
        inputs: Sequence[Path],
        source: Callable[[], Model],
        build: Callable[[], Model],
        scorer: Scorer | None = None,
    ) -> dict[str, float]:
        """How far a build diverges from its source on the same inputs; for tasks with `metrics`.

        Args:
            inputs: the files that the recipe's check names.
            source, build: load the models. Close one before the other is loaded.
            scorer: the one that the recipe's check names, if any.

        Returns: figures by the names in `metrics`.
        """
        raise NotImplementedError(f"{type(self).__name__} measures nothing")

    def flags(self) -> Sequence[click.Option]:
        """Options of `zoo run` that are not call options, such as where output is written."""
        return ()

    def prepare(self, options: Mapping[str, Any], *, as_json: bool) -> None:
        """Refuse options of the command line before anything is fetched, made or loaded.

        Args:
            options: those given, by name, of `flags` and of `options`. The call options among them
                are checked already.
            as_json: whether one JSON document is printed.

        Raises:
            InputError, UsageError: with what to give instead.
        """

    def run(
        self, model: Model, given: Given, options: dict[str, Any], listener: Listener
    ) -> Output:
        """Run a model for the command line; by default, print what a call with the text returns.

        Args:
            model: an instance of `model`.
            given: the input.
            options: those given, by name.
            listener: receives progress events.
        """
        return iter((str(model(given.text, **options)),))

    def echo(self, model: Model, given: Given, options: Mapping[str, Any]) -> str:
        """What `zoo run` shows dimly before the output in a terminal, such as the prompt that is
        continued; by default nothing.

        Args:
            model, given, options: as for `run`.
        """
        return ""

    def metric(self, figure: str) -> Metric | None:
        """The metric that a figure is of; `None` when the task does not measure it."""
        if figure in self.metrics:
            return self.metrics[figure]
        patterns = (m for name, m in self.metrics.items() if fnmatchcase(figure, name))
        return next(patterns, None)

    def better(self, figure: str) -> str | None:
        """Whether a limit of a figure is what it must be `at least`, or `at most`."""
        metric = self.metric(figure)
        return metric.better if metric else None

    def holds(self, figure: str, value: float, limit: float) -> bool:
        """Whether a figure keeps its limit; one that is not a number does not."""
        return value >= limit if self.better(figure) == HIGHER else value <= limit

    def limit_faults(self, limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        """What is wrong with the limits of a recipe: the figure, and what is wrong with it."""
        limitable = [name for name, metric in self.metrics.items() if metric.better]
        for figure in limits:
            if self.better(figure) is not None:
                continue
            if self.metric(figure) is not None:
                yield figure, "is reported by checks, and cannot be limited"
            elif not limitable:
                yield figure, f"cannot be limited: {self.title.lower()} has no check"
            else:
                close = suggest(figure, limitable) or f"; it has {', '.join(limitable)}"
                yield figure, f"is not a metric of {self.title.lower()}{close}"
