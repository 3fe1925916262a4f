"""From what a caller names to the pipeline of one build."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo import machine
from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.formats import require_described
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import Recipe
from zoo.catalogs.reference import Reference
from zoo.errors import NotFound, UsageError
from zoo.pipeline.adapters import with_adapters
from zoo.pipeline.choice import choose, require_passes
from zoo.progress import Event, Listener, silent
from zoo.store.store import Store
from zoo.tasks.model import AdapterChoice, Model
from zoo.tasks.registry import problem_of, task_of

if TYPE_CHECKING:
    from zoo.pipeline.pipeline import Pipeline
    from zoo.pipeline.plan import Plan


def resolve_recipe(
    ref: str, family: str | None, listener: Listener = silent, *, measured: bool = True
) -> tuple[Recipe, str | None]:
    """The recipe that `ref` names, and the build that it names, if any.

    Args:
        measured: whether a repository on the Hub may be asked for facts about its weights.

    Raises:
        NotFound, AmbiguousName, UsageError, RecipeError: see `Catalog.resolve`.
    """
    reference = Reference.parse(ref)
    if reference.kind != "catalog":
        from zoo.pipeline.own import recipe_of

        lock = Lock(machine.lock_file())
        recipe = recipe_of(reference, family, open_catalog(), lock, listener, measured=measured)
        return recipe, None
    if family is not None:
        raise UsageError(f"a family is for a folder or repository, and '{ref}' has a recipe")
    try:
        return open_catalog().resolve(reference.name)
    except (NotFound, UsageError) as error:
        if os.path.isdir(ref):
            raise type(error)(error.message, f"for the folder write ./{ref}") from error
        raise


def open_pipeline(
    ref: str,
    build: str | None,
    format: str | None,
    family: str | None,
    listener: Listener,
    adapter: AdapterChoice = None,
) -> tuple[Pipeline, AdapterChoice]:
    """The pipeline of the build that is meant, and the choice of adapters by their names in it."""
    from zoo.pipeline.pipeline import Pipeline

    recipe, name, using = _chosen(ref, build, format, family, listener, adapter)
    return Pipeline(recipe, name, Store(machine.home()), Lock(machine.lock_file()), listener), using


def open_plan(
    ref: str, build: str | None, format: str | None, family: str | None, listener: Listener
) -> tuple[Plan, Recipe]:
    """The plan of the build that is meant, and its recipe, pinned as in `zoo.lock`."""
    from zoo.pipeline.keys import Keys
    from zoo.pipeline.planning import plan_build

    recipe, name, _ = _chosen(ref, build, format, family, listener, None)
    if problem := problem_of(recipe.task):
        listener(Event("plan", "note", message=f"this model cannot be run: {problem}"))
    pinned = Lock(machine.lock_file()).pin_recipe(recipe)
    return plan_build(pinned, name, Keys(recipe, name, pinned), Store(machine.home())), pinned


def _chosen(
    ref: str,
    build: str | None,
    format: str | None,
    family: str | None,
    listener: Listener,
    adapter: AdapterChoice,
) -> tuple[Recipe, str, AdapterChoice]:
    """The recipe and the name of the build that is meant, and the choice of adapters."""
    recipe, named = resolve_recipe(ref, family, listener)
    if named and build is not None and named != build:
        raise UsageError(f"'{ref}' names the build '{named}', and '{build}' was asked for as well")
    name, reason = choose(recipe, named if build is None else build, format)
    require_described(recipe.build[name].format)
    require_passes(recipe, name)
    recipe, using = with_adapters(recipe, name, adapter)
    if reason:
        listener(Event("choose", "note", message=reason))
    return recipe, name, using


def require_task(recipe: Recipe, wanted: Callable[..., Model] = Model) -> None:
    """Refuse a model of another class than `wanted`, or of a task that nobody can describe.

    Raises:
        UsageError: it is one.
        PluginError: no plugin describes the recipe's task, or several do, or one that is broken.
    """
    if not (isinstance(wanted, type) and issubclass(wanted, Model)):
        raise UsageError(
            f"task must be a class of models, not {wanted!r}", "give one such as zoo.TextModel"
        )
    made = task_of(recipe.task).model()
    if not issubclass(made, wanted):
        raise UsageError(
            f"'{recipe.ref}' is a {made.__name__} (task {recipe.task}), not a {wanted.__name__}",
            f"leave task out, or give task={made.__name__}",
        )
