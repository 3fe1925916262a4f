"""From a folder or a repository to the text of its recipe, with measured limits if wanted."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from zoo import api
from zoo.catalogs.formats import format_of
from zoo.catalogs.recipe import Recipe
from zoo.catalogs.reference import Reference
from zoo.errors import MissingExtra, PluginError, UsageError
from zoo.formats.checkpoint import checkpoint_files
from zoo.pipeline.own import hub_facts
from zoo.progress import Event, Listener, Progress
from zoo.scaffold.recipe import Described, describe_folder, limits_from, recipe_text
from zoo.tasks.registry import task_of


def new_recipe(
    ref: str, family: str | None, target: Path | None, *, measure: bool, listener: Listener
) -> str:
    """The recipe of a checkpoint, as TOML.

    Args:
        ref: a folder such as `./checkpoint`, or `hf:owner/name@commit`.
        family: the architecture, when the files do not tell.
        target: the file that the recipe is for; what its check is measured on is copied beside it.
        measure: whether each build is made and measured, and its limits set by its figures.
        listener: receives what is made.

    Raises:
        UsageError: `ref` is the name of a catalog; a measured recipe has no file to be for.
        NotFound, InputError, IntegrityError, Gated, Offline: why it cannot be read.
    """
    reference = Reference.parse(ref)
    if reference.kind == "catalog":
        raise UsageError(
            f"'{ref}' is the name of a model, which has a recipe",
            "give a folder such as ./checkpoint, or hf:owner/name",
        )
    if measure and target is None:
        raise UsageError(
            "a measured recipe needs files beside it", "say where it goes with --to recipe.toml"
        )
    recipe = api.show(ref, family=family)
    limits = _measured(ref, recipe, family, listener) if measure else {}
    described = _described(reference, recipe, target, listener)
    inputs = _copied(recipe, target) if target is not None and recipe.check else ()
    return recipe_text(described, recipe.build, limits, inputs)


def _described(
    reference: Reference, recipe: Recipe, target: Path | None, listener: Listener
) -> Described:
    family, task = recipe.family, recipe.task
    if reference.kind == "folder":
        folder = Path(reference.name)
        beside = target is not None and folder.is_relative_to(target.parent.resolve())
        said = folder.relative_to(target.parent.resolve()) if target and beside else folder
        return describe_folder(folder, family, task, said.as_posix())
    from zoo.hub.headers import RemoteFiles

    remote = RemoteFiles(reference.source, Progress("look", listener))
    source = remote.pinned(sorted(checkpoint_files(remote.sizes, remote.read)))
    facts = hub_facts(source, listener)
    config = remote.read_json("tokenizer_config.json") if _has(remote, TOKENIZER) else {}
    chat = bool(config.get("chat_template")) or _has(remote, "chat_template.jinja")
    title = reference.name.rpartition("/")[2]
    return Described(source, facts, family, task, title, chat)


TOKENIZER = "tokenizer_config.json"


def _has(remote: object, name: str) -> bool:
    return name in getattr(remote, "sizes", {})


def _measured(
    ref: str, recipe: Recipe, family: str | None, listener: Listener
) -> Mapping[str, Mapping[str, float]]:
    """Limits of each build that can be made here, by its figures."""
    task, found = task_of(recipe.task), {}
    for name, build in recipe.build.items():
        if format_of(build.format).runs_source:
            continue
        try:
            verdict = api.check(ref, build=name, family=family, listener=listener)
        except (MissingExtra, PluginError) as error:
            listener(Event("check", "note", message=f"{name} is not measured: {error.message}"))
            continue
        better = {figure: task.better(figure) for figure in verdict.metrics}
        found[name] = limits_from(verdict.metrics, better)
    return found


def _copied(recipe: Recipe, target: Path) -> tuple[str, ...]:
    """What the check of the family's recipes is measured on, copied beside the new recipe."""
    assert recipe.check is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    for name in recipe.check.inputs:
        place = target.parent / name
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(recipe.home / name, place)
    return recipe.check.inputs
