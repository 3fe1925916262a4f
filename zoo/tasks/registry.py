"""Find the description of a task by the name that recipes use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from zoo.display.interrupt import let_through
from zoo.errors import BrokenPlugin, MissingPlugin, PluginError
from zoo.registry.discovery import TASKS, Provider, provider, providers
from zoo.tasks.task import Task

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe


def task_of(name: str) -> Task:
    """Return the task of a name.

    Raises:
        MissingPlugin: no installed plugin describes the task.
        PluginConflict: several plugins describe it.
        BrokenPlugin: the description cannot be loaded, or is not a `Task`.
    """
    origin = provider(TASKS, name)
    origin.require()
    return _loaded(origin)


@cache
def _loaded(origin: Provider) -> Task:
    found = origin.load()
    if not isinstance(found, Task):
        raise BrokenPlugin(
            f"the task '{origin.name}' of {origin} is {type(found).__name__}, not a zoo.Task",
            f"let the entry point name an instance of a zoo.Task, not {origin.value}",
        )
    return found


def problem_of(name: str) -> str | None:
    """Why models of a task cannot be used here; `None` when its description can be loaded."""
    try:
        task_of(name)
    except PluginError as error:
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return None


def tasks() -> Iterator[tuple[str, Task]]:
    """Yield the installed tasks that can be loaded, with their names."""
    for name in providers(TASKS):
        try:
            yield name, task_of(name)
        except PluginError:
            continue


def faults_of(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Find the errors of a recipe that only its task knows.

    The description of the task is loaded only if the recipe has something for it to validate. If it
    cannot be loaded, nothing is found here, and using the model raises the error.

    Yields:
        The key path in the recipe, and what is wrong.
    """
    try:
        provider(TASKS, recipe.task)
    except MissingPlugin as error:
        yield "task", f"{error.message}; {error.hint}"
        return
    except PluginError:
        return
    check = recipe.check
    if not any((check, recipe.defaults, *(build.limits for build in recipe.build.values()))):
        return
    try:
        task = task_of(recipe.task)
        yield from list(_faults(recipe, task))
    except PluginError:
        return
    except BaseException as error:  # a stranger's description fails for its own recipes alone
        let_through(error)
        text = " ".join(f"{type(error).__name__}: {error}".split())
        yield "task", f"the description of '{recipe.task}' failed: {text}"


def _faults(recipe: Recipe, task: Task) -> Iterator[tuple[str, str]]:
    if recipe.defaults:
        for name, message in _default_faults(task, recipe.defaults):
            yield f"defaults.{name}", message
    for build, made in recipe.build.items():
        for figure, message in task.limit_faults(made.limits):
            yield f"build.{build}.limits.{figure}", message
    if recipe.check is None:
        return
    for figure, message in task.limit_faults(recipe.check.limits):
        yield f"check.limits.{figure}", message
    if recipe.check.scorer and not task.scored:
        yield "check.scorer", f"cannot be used: {task.title.lower()} has no scorers"


def _default_faults(task: Task, defaults: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from task.options().faults(defaults)
