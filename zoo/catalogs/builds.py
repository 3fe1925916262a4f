"""Builds that others add to a recipe: plugins by the entry point `zoo.builds`, the user by a file.

A file of builds is data, never imported. It adds builds to the recipes of a family, of a task, or
to one model:

    schema = 1
    [family.mistral.build.npz-8bit]
    format = "npz"
    optimize = [{ kind = "round", bits = 8 }]

    [task.text-generation.build.gguf-q4]
    format = "gguf"

    [model."mistral:mini".build.my-3bit]
    format = "mlx"
    optimize = [{ kind = "quantize", bits = 3 }]

A recipe's own name wins, then the user's, then the plugins'. A build for a task is added only to
the families that its format may run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from zoo import schema
from zoo.catalogs import pairs
from zoo.catalogs.build_files import USER, build_files, user_file
from zoo.catalogs.names import NAME
from zoo.catalogs.recipe import Build, Recipe, read_toml
from zoo.catalogs.validation import faults_of
from zoo.errors import PluginConflict, RecipeError, ZooError
from zoo.files.paths import given_path


@dataclass(frozen=True)
class Addition:
    """The builds for a family, a task or a model."""

    build: dict[str, Build] = field(metadata={"doc": "name to build, as in a recipe"})

    def validate(self) -> Iterator[tuple[str, str]]:
        for name in self.build:
            if not re.fullmatch(NAME, name):
                yield f"build.{name}", "must be a lower-case name"


@dataclass(frozen=True)
class BuildsFile:
    """Builds that are added to other people's recipes."""

    schema: int = field(metadata={"doc": "version of this format: 1"})
    family: dict[str, Addition] = field(
        default_factory=dict, metadata={"doc": "family to the builds of all its models"}
    )
    task: dict[str, Addition] = field(
        default_factory=dict,
        metadata={"doc": "task to the builds of all its models whose family the format may run"},
    )
    model: dict[str, Addition] = field(
        default_factory=dict,
        metadata={"doc": "name of a catalog, folder, or hf:owner/name, to the builds of one model"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.schema != 1:
            yield "schema", f"this version of zoo reads schema 1, not {self.schema}"


@dataclass(frozen=True)
class Offer:
    """One file of builds, with who offers them and the models by their full references."""

    by: str
    path: Path
    file: BuildsFile
    models: Mapping[str, Addition]

    def to(self, recipe: Recipe, measured: bool) -> dict[str, Build]:
        """The builds for a model; what is meant for it alone goes before what is for many."""
        many = dict(self._for_many(recipe))
        if not measured:
            many = {name: replace(build, bits=None, limits={}) for name, build in many.items()}
        own = self.models.get(recipe.ref, Addition({})).build
        return {name: replace(b, offered_by=self.by) for name, b in {**many, **own}.items()}

    def _for_many(self, recipe: Recipe) -> Iterator[tuple[str, Build]]:
        nothing = Addition({})
        for name, build in self.file.task.get(recipe.task, nothing).build.items():
            known = pairs.listed(recipe.family, build.format)
            if known or pairs.serves(recipe.family, build.format):
                yield name, build
        yield from self.file.family.get(recipe.family, nothing).build.items()


class Offers:
    """All files of builds on this machine.

    Attributes:
        found: the user's first, then those of plugins.
        problems: the files that cannot be read, each by who offers it.
    """

    def __init__(self, found: list[Offer], problems: dict[str, ZooError]) -> None:
        self.found = found
        self.problems = problems

    def added_to(self, recipe: Recipe, *, measured: bool = True) -> Recipe:
        """`recipe` with the builds that are offered for it.

        One that two plugins offer, or that is wrong for this recipe, is in `Recipe.refused`.

        Args:
            measured: whether the limits and bits of builds for many models apply to this one. To a
                checkpoint without a recipe they do not.
        """
        if not self.found and not self.problems:
            return recipe
        good: dict[str, Build] = {}
        refused: dict[str, ZooError] = {}
        for offer in self.found:
            for name, build in offer.to(recipe, measured).items():
                first = good.setdefault(name, build)
                if first is not build and first.offered_by != USER:
                    refused[name] = PluginConflict(
                        f"the build '{name}' of '{recipe.ref}' is offered by "
                        f"{first.offered_by} and {build.offered_by}",
                        "uninstall one of them, or have a build of that name in "
                        f"{user_file()}, which goes before both",
                    )
        for name in recipe.build:
            good.pop(name, None)
            refused.pop(name, None)
        for name, faults in _faults(recipe, good).items():
            refused.setdefault(name, _refusal(recipe, good[name], name, faults))
        good = {name: build for name, build in good.items() if name not in refused}
        unread = tuple(f"{by}: {error.message}" for by, error in self.problems.items())
        return replace(recipe, build={**recipe.build, **good}, refused=refused, unread=unread)


def read_offers(resolve: Callable[[str], str]) -> Offers:
    """The files of builds on this machine. One that cannot be read affects only itself.

    Args:
        resolve: from what a person writes for a model to its full reference.
    """
    found: list[Offer] = []
    problems: dict[str, ZooError] = {}
    for by, find in build_files():
        try:
            path = find()
            file = _read(path)
            models = {_full(name, resolve): added for name, added in file.model.items()}
            found.append(Offer(by, path, file, models))
        except ZooError as error:
            problems[by] = error
    return Offers(found, problems)


def _read(path: Path) -> BuildsFile:
    problems = schema.Problems()
    made: BuildsFile | None = schema.read(BuildsFile, read_toml(path, "builds file"), problems)
    if made is None or problems.found:
        raise RecipeError(f"builds file {path} is invalid:", tuple(problems.found))
    return made


def _full(name: str, resolve: Callable[[str], str]) -> str:
    if name.startswith((".", "/", "~")):
        return str(given_path(name, "the folder"))
    return name if name.startswith("hf:") else resolve(name)


def _faults(recipe: Recipe, builds: Mapping[str, Build]) -> dict[str, list[str]]:
    """What is wrong with each of the builds, for this recipe."""
    alone = replace(recipe, build=dict(builds), check=None, adapter={}, defaults={})
    found: dict[str, list[str]] = {}
    for where, message in faults_of(alone) if builds else ():
        for name in builds:
            if where.startswith(f"build.{name}."):
                found.setdefault(name, []).append(
                    f"{where.removeprefix(f'build.{name}.')}: {message}"
                )
    return found


def _refusal(recipe: Recipe, build: Build, name: str, faults: Iterable[str]) -> RecipeError:
    return RecipeError(
        f"the build '{name}' that {build.offered_by} adds to '{recipe.ref}' is wrong:",
        tuple(faults),
    )
