"""Claims about a task: its description, its options and its metrics."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any
from unittest import SkipTest

from zoo.errors import InputError, PluginError
from zoo.progress import silent
from zoo.registry.discovery import TASKS, providers
from zoo.tasks.model import Model
from zoo.tasks.options import CallOptions
from zoo.tasks.registry import task_of
from zoo.tasks.task import Given, Metric, Task
from zoo.testing.contract.claim import BrokenClaim, Claims, Unreached, require
from zoo.testing.contract.imports import require_light

TASK = Claims()


class TaskSubject:
    """The task that the claims are about.

    Args:
        task: the name of the task.
        load: loads a model of the task, for the claims that call one.
        example: the input, as given to `zoo run`.
        inputs: input files for the task's `measure`.
    """

    def __init__(
        self,
        task: str,
        *,
        load: Callable[[], Model] | None = None,
        example: str = "",
        inputs: Sequence[Path] = (),
    ) -> None:
        self.name, self.example, self.inputs = task, example, inputs
        self._load = load

    @cached_property
    def task(self) -> Task:
        """The task.

        Raises:
            Unreached: it cannot be loaded; the claim `one_task` says why.
        """
        try:
            return task_of(self.name)
        except PluginError as error:
            raise Unreached("the task does not load") from error

    def load(self) -> Model:
        """A model of the task.

        Raises:
            SkipTest: the contract names none.
        """
        if self._load is None:
            raise SkipTest("the contract has no `load`, which makes a model")
        return self._load()

    def close(self) -> None:
        """Do nothing: a task holds no files."""


@TASK.claim
def one_task(subject: TaskSubject) -> None:
    """Exactly one installed distribution describes the task, by an instance of zoo.Task."""
    try:
        task_of(subject.name)
    except PluginError as error:
        raise BrokenClaim(error.message) from error


@TASK.claim
def light_description(subject: TaskSubject) -> None:
    """Importing the description imports no framework and prints nothing, for `zoo list`."""
    require_light(providers(TASKS).get(subject.name, ()))


@TASK.claim
def model_class(subject: TaskSubject) -> None:
    """The task has a title, and a model class that derives from zoo.Model."""
    require(subject.task.title, "it has no title")
    found = subject.task.model()
    right = isinstance(found, type) and issubclass(found, Model) and found is not Model
    require(right, f"model() returns {found!r}, which is not a subclass of zoo.Model")


@TASK.claim
def options_are_documented(subject: TaskSubject) -> None:
    """Every call option has a default, which is valid, and a description."""
    options = subject.task.options()
    right = isinstance(options, type) and issubclass(options, CallOptions)
    require(right, f"options() returns {options!r}, which is not a subclass of zoo.CallOptions")
    for field in fields(options):
        require(field.metadata.get("doc"), f"the option '{field.name}' has no doc")
        has = field.default is not MISSING or field.default_factory is not MISSING
        require(has, f"the option '{field.name}' has no default")
    options()
    try:
        options.of({"no_such_option": 1})
    except InputError:
        return
    raise BrokenClaim("an option that it does not have is accepted")


@TASK.claim
def flags_are_its_own(subject: TaskSubject) -> None:
    """Options of `zoo run` have other names than call options."""
    flags = [str(flag.name) for flag in subject.task.flags()]
    twice = sorted({name for name in flags if flags.count(name) > 1})
    require(not twice, f"these flags are there twice: {', '.join(twice)}")
    both = sorted({*flags} & {*subject.task.options().names()})
    require(not both, f"these flags are options of a call already: {', '.join(both)}")


@TASK.claim
def figures_are_described(subject: TaskSubject) -> None:
    """Every metric has a meaning, and those in `faithful` can be limited."""
    task = subject.task
    for name, metric in task.metrics.items():
        require(isinstance(metric, Metric), f"'{name}' is {metric!r}, not a zoo.Metric")
        require(metric.meaning, f"the metric '{name}' has no meaning")
    loose = [name for name in task.faithful if task.better(name) is None]
    require(
        not loose, f"these limits are of metrics that have no better direction: {', '.join(loose)}"
    )


@TASK.claim
def runs_on_the_command_line(subject: TaskSubject) -> None:
    """`zoo run` receives text or bytes, and `--json` prints JSON."""
    with subject.load() as model:
        given = Given(argument=subject.example)
        found: Any = subject.task.run(model, given, {}, silent)
        pieces, returned = [], None
        while True:
            try:
                pieces.append(next(found))
            except StopIteration as end:
                returned = end.value
                break
    wrong = [piece for piece in pieces if not isinstance(piece, str | bytes)]
    require(not wrong, f"it yields a {type(wrong[0]).__name__}" if wrong else "")
    require(pieces or returned is not None, "it yields nothing")
    try:
        json.dumps(returned)
    except (TypeError, ValueError) as error:
        raise BrokenClaim(
            f"what it returns for --json cannot be written as JSON: {error}"
        ) from error


@TASK.claim
def a_model_agrees_with_itself(subject: TaskSubject) -> None:
    """A model compared with itself keeps every limit, and has the declared metrics."""
    task = subject.task
    if not task.metrics:
        raise SkipTest("the task measures nothing")
    if not subject.inputs:
        raise SkipTest("the contract has no `inputs`, which are measured")
    found = task.measure(list(subject.inputs), subject.load, subject.load)
    for figure, value in found.items():
        require(task.metric(figure), f"'{figure}' is not among its metrics")
        require(isfinite(value), f"the metric '{figure}' is {value}")
    for figure, limit in task.faithful.items():
        require(figure in found, f"'{figure}' is not measured")
        held = task.holds(figure, found[figure], limit)
        require(held, f"of a model and itself, '{figure}' is {found[figure]:.4g}")


@TASK.claim
def signatures(subject: TaskSubject) -> None:
    """The methods take the arguments that zoo passes."""
    for name in ("measure", "prepare", "run"):
        wanted = inspect.signature(getattr(Task, name)).parameters
        found = inspect.signature(getattr(type(subject.task), name)).parameters
        require([*found] == [*wanted], f"{name} takes {', '.join(found)}, not {', '.join(wanted)}")
