"""The description of a task, for the Python API, checks and the command line.

A task is described by one small object, which an entry point in the group `zoo.tasks` names:

    [project.entry-points."zoo.tasks"]
    sentence-embeddings = "zoo_acme.task:TASK"

Its module imports only `zoo` and the standard library. Import heavier packages inside the methods.
Recipes use the name of the entry point: `task = "sentence-embeddings"`.
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
"""Higher values of a metric are better: its limit is the least value allowed."""

LOWER: Literal["at most"] = "at most"
"""Lower values of a metric are better: its limit is the largest value allowed."""

Output = Generator[str | bytes, None, dict[str, Any] | None] | Iterator[str | bytes] | Iterator[str]
"""Pieces to print to stdout. A generator can return the object that `--json` prints instead."""

Scorer = Callable[[Any, str], bool]
"""Returns whether an output matches its prompt. Plugins provide scorers by the entry point group
`zoo.scorers`."""


@dataclass(frozen=True)
class Metric:
    """A metric of a check.

    Attributes:
        meaning: what it measures, in one clause.
        better: `HIGHER` if a limit is the least value allowed, `LOWER` if it is the largest; `None`
            for a metric that is reported and cannot be limited.
        adapters: whether it is also measured for builds with an adapter.
    """

    meaning: str
    better: Literal["at least", "at most"] | None = None
    adapters: bool = True


@dataclass(frozen=True)
class Given:
    """The input of `zoo run`: an argument, or data from a pipe.

    Attributes:
        argument: the argument INPUT; `None` if there is none.
        piped: the bytes from stdin.
    """

    argument: str | None = None
    piped: bytes = b""

    @property
    def text(self) -> str:
        """The input as text, without the final line break of a pipe.

        Raises:
            InputError: the data from the pipe is not UTF-8.
        """
        if self.argument is not None:
            return self.argument
        try:
            return self.piped.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise InputError(f"the input is not UTF-8 text: {error}") from error


class Task:
    """The base class of tasks. A plugin subclasses it; only `model` must be overridden.

    Attributes:
        title: name of the task in help texts, such as "Text generation".
        label: one short word for tables, such as "text"; by default the name of the task.
        synonyms: other words that searches find its models by.
        input: description of INPUT in the help of `zoo run`.
        example: arguments of an example of `zoo run NAME`, as typed in a shell.
        python_example: the same example in Python, where `model` is the loaded model.
        metrics: metrics that `measure` returns, by name. `*` matches any text, as in `*_psnr`.
        faithful: limits for builds without passes of models that have no recipe. Rounding errors
            stay well within them, and wrong conversions well outside.
        scored: whether a recipe can name a scorer, which `measure` receives.
        lines: whether `run` yields whole lines, so that no line break is printed at the end.
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
        """Return the class of the models of this task, a subclass of `zoo.Model`."""
        raise NotImplementedError(f"{type(self).__name__} does not say its model class")

    def options(self) -> type[CallOptions]:
        """Return the class of call options, which are also options of `zoo run`."""
        from zoo.tasks.options import CallOptions

        return CallOptions

    def measure(
        self,
        inputs: Sequence[Path],
        source: Callable[[], Model],
        build: Callable[[], Model],
        scorer: Scorer | None = None,
    ) -> dict[str, float]:
        """Measure how far a build diverges from its source on the same inputs.

        Required for tasks with `metrics`.

        Args:
            inputs: the files that the recipe's check names.
            source: loads the source model. Close it before loading the build, to save memory.
            build: loads the build.
            scorer: the scorer that the recipe's check names, if any.

        Returns: metric to value, by the names in `metrics`.
        """
        raise NotImplementedError(f"{type(self).__name__} measures nothing")

    def flags(self) -> Sequence[click.Option]:
        """Return options of `zoo run` that are not call options, such as the output file."""
        return ()

    def prepare(self, options: Mapping[str, Any], *, as_json: bool) -> None:
        """Validate the options of `zoo run` before anything is downloaded or loaded.

        Args:
            options: the given options by name, of `flags` and of `options`. Call options are
                already validated.
            as_json: whether `--json` was given.

        Raises:
            UsageError: options cannot be combined.
            InputError: the value of an option is invalid.
        """

    def check_input(self, given: Given) -> None:
        """Validate the input of `zoo run` before anything is downloaded or loaded.

        By default every input is valid that is not empty.

        Args:
            given: the input.

        Raises:
            InputError: the input cannot be used, such as the path of a file that does not exist.
        """

    def run(
        self, model: Model, given: Given, options: dict[str, Any], listener: Listener
    ) -> Output:
        """Run a model for `zoo run`. By default, print the result of calling it with the text.

        Args:
            model: an instance of the class that `model` returns.
            given: the input.
            options: the given options, by name.
            listener: called with every progress `Event`.

        Returns: the pieces to print, in order; see `Output`.
        """
        return iter((str(model(given.text, **options)),))

    def echo(self, model: Model, given: Given, options: Mapping[str, Any]) -> str:
        """Return the text that `zoo run` prints dimmed before the output in a terminal.

        By default there is none. Text generation returns the prompt.

        Args:
            model: as for `run`.
            given: as for `run`.
            options: as for `run`.
        """
        return ""

    def metric(self, figure: str) -> Metric | None:
        """Return the metric of a name, or `None` if the task does not measure it."""
        if figure in self.metrics:
            return self.metrics[figure]
        patterns = (m for name, m in self.metrics.items() if fnmatchcase(figure, name))
        return next(patterns, None)

    def better(self, figure: str) -> str | None:
        """Return whether values of a metric should be `at least` or `at most` their limit."""
        metric = self.metric(figure)
        return metric.better if metric else None

    def holds(self, figure: str, value: float, limit: float) -> bool:
        """Return whether a value keeps its limit. NaN does not."""
        return value >= limit if self.better(figure) == HIGHER else value <= limit

    def limit_faults(self, limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        """Find invalid limits of a recipe.

        Yields:
            The name of a metric, and what is wrong.
        """
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
