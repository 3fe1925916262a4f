"""The family and format that claims are about: a source, a build and a model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.recipe import Build, Optimization, Recipe
from zoo.catalogs.source import Source
from zoo.errors import BrokenPlugin, PluginConflict, UsageError, said
from zoo.family import Family
from zoo.progress import Event, Progress
from zoo.tasks.model import Model
from zoo.tasks.registry import task_of
from zoo.tasks.task import Task
from zoo.testing.checkpoints.tiny import tiny
from zoo.testing.contract.claim import BrokenClaim, Unreached
from zoo.testing.contract.watch import Seen, digests_of, watched

TEXT = "text-generation"


@dataclass(frozen=True)
class Made:
    """A finished build.

    Attributes:
        folder: where it is.
        events: the progress while it was made.
        digests: of every file, as it was made.
    """

    folder: Path
    events: tuple[Event, ...]
    digests: Mapping[str, str]


class Subject:
    """One family in one format, with what is made of it, each once.

    Args:
        family, format: the pair.
        recipe: the model whose build is made, such as `mistral:mini`; by default the source alone.
        build: the name of one of its builds; by default the first in the format.
        source: a checkpoint folder, in place of a recipe; by default `zoo.testing.tiny(family)`.
        optimize: the passes of the build, as in a recipe, where there is no recipe.
        options: the options of the build, likewise.
        task: the task of the model, likewise; by default that of the family's other recipes.
        example: what the model is called with, for a task that is not one of zoo's.
    """

    def __init__(
        self,
        family: str,
        format: str,
        *,
        recipe: str | None = None,
        build: str | None = None,
        source: Path | None = None,
        optimize: Sequence[Mapping[str, Any]] = (),
        options: Mapping[str, Any] | None = None,
        task: str | None = None,
        example: Any = None,
    ) -> None:
        self.family_name, self.format = family, format
        self.example = example
        self._named, self._build, self._source = recipe, build, source
        self._optimize, self._options, self._task = optimize, options, task
        self._stack = ExitStack()
        self.seen: list[Seen] = []
        self._made: dict[int, Made | Exception] = {}
        self._model: Model | Exception | None = None

    @property
    def pair(self) -> str:
        return f"{self.family_name}.{self.format}"

    @cached_property
    def root(self) -> Path:
        """The folder in which everything is made; it is removed by `close`."""
        made = tempfile.TemporaryDirectory(prefix="zoo-contract-")
        return Path(self._stack.enter_context(made)).resolve()

    @cached_property
    def family(self) -> Family:
        """The hooks of the pair.

        Raises:
            Unreached: they cannot be loaded; the claim `signatures` says why.
            MissingExtra: packages are missing.
        """
        try:
            return Family(self.family_name, self.format)
        except (BrokenPlugin, PluginConflict) as error:
            raise Unreached("the plugin does not load") from error

    @cached_property
    def task(self) -> Task:
        return task_of(self.recipe.task)

    @cached_property
    def source(self) -> Path:
        """A copy of the source that is the pair's own."""
        target = self.root / "source"
        given = self._source
        if given is None and self._named is not None:
            source = self._shown.source
            if source.folder is None:
                raise UsageError(
                    f"'{self._named}' is downloaded, and a contract is offline",
                    "choose a model whose source is a folder, or leave the recipe out",
                )
            given = self._shown.home / source.folder
        shutil.copytree(given or tiny(self.family_name), target)
        return target

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that the hooks are given."""
        source = Source(folder=str(self.source))
        if self._named is not None:
            return replace(self._shown, source=source, home=self.source.parent)
        passes = tuple(
            Optimization(step["kind"], {k: v for k, v in step.items() if k != "kind"})
            for step in self._optimize
        )
        build = Build(format=self.format, optimize=passes, options=dict(self._options or {}))
        return Recipe(
            schema=1,
            family=self.family_name,
            title=f"{self.family_name} under contract",
            summary="a checkpoint for tests",
            task=self._task or _usual_task(self.family_name),
            license="LicenseRef-unknown",
            parameters=1,
            source=source,
            build={"contract": build},
            context=None,
            ref=f"{self.family_name}:contract",
            home=self.source.parent,
        )

    @cached_property
    def build(self) -> Build:
        if self._named is None:
            return next(iter(self.recipe.build.values()))
        return self._shown.pick(self._build, self.format)[1]

    @cached_property
    def adapters(self) -> dict[str, Path]:
        """The folder of each adapter of the recipe."""
        if self._named is None:
            return {}
        return {
            name: self._shown.home / source.folder
            for name, source in self._shown.adapter.items()
            if source.folder is not None
        }

    @cached_property
    def _shown(self) -> Recipe:
        assert self._named is not None
        recipe, _ = open_catalog().resolve(self._named)
        if recipe.family != self.family_name:
            raise UsageError(f"'{self._named}' is of the family '{recipe.family}'")
        return recipe

    def made(self, number: int = 0) -> Made:
        """The finished build, made for the first time, or again.

        Raises:
            Unreached: it cannot be made; the claim `builds` says why.
        """
        if number not in self._made:
            _ = self.family
            try:
                self._made[number] = self._make(number)
            except Exception as error:
                self._made[number] = error
        found = self._made[number]
        if isinstance(found, Exception):
            raise Unreached("the pair makes no build") from found
        return found

    def fault_of_build(self) -> Exception | None:
        """Why there is no build."""
        _ = self.family
        try:
            self.made()
        except Unreached as error:
            return error.__cause__ if isinstance(error.__cause__, Exception) else error
        return None

    @property
    def model(self) -> Model:
        """The build, loaded; the claims share it.

        Raises:
            Unreached: it cannot be loaded; the claim `runs` says why.
        """
        if self._model is None:
            self.made()
            try:
                self._model = self._stack.enter_context(self.load())
            except Exception as error:
                self._model = error
        if isinstance(self._model, Exception):
            said_of = f"{type(self._model).__name__}: {said(self._model)}"
            raise Unreached(f"the build does not load: {said_of}") from self._model
        return self._model

    def load(self) -> Model:
        """The build, loaded once more.

        Raises:
            Unreached: what it loads as is no model; the claim `runs` says so.
        """
        model = self.open(self.made().folder)
        if not isinstance(model, self.task.model()):
            raise Unreached("the build does not load")
        return model

    def open(self, artifact: Path) -> Any:
        """What the hook `run` makes of a folder."""
        model = self.ask("run", build=self.build, artifact=artifact, adapters=self.adapters)
        if isinstance(model, Model):
            model.ref, model.defaults = self.recipe.ref, self.recipe.defaults
        return model

    def ask(self, hook: str, **arguments: Any) -> Any:
        """What a hook answers, while it is watched; itself, without the guards of `Family`."""
        folders = {"the source": self.source}
        if "artifact" in arguments:
            folders["the build"] = arguments["artifact"]
        if "converted" in arguments:
            folders["the conversion"] = arguments["converted"]
        folders |= {f"the adapter '{name}'": path for name, path in self.adapters.items()}
        seen = Seen(hook)
        self.seen.append(seen)
        with watched(seen, folders, self.root / "around"):
            return self.family.ask(hook, recipe=self.recipe, **arguments)

    def watch(self, what: str) -> Any:
        """A context in which a call of the model is watched as hooks are."""
        seen = Seen(what)
        self.seen.append(seen)
        folders = {"the source": self.source, "the build": self.made().folder}
        return watched(seen, folders, self.root / "around")

    def step(
        self, hook: str, place: Path, events: list[Event], **arguments: Any
    ) -> tuple[Path, list[str]]:
        """What `convert` or `optimize` makes in a folder of its own, and what it left beside it."""
        workdir = place / hook / "work"
        workdir.mkdir(parents=True)
        progress = Progress(hook, events.append)
        made = self.ask(hook, build=self.build, workdir=workdir, progress=progress, **arguments)
        strays = [path.name for path in workdir.parent.iterdir() if path != workdir]
        self.seen[-1].changes += [f"'{n}' appeared beside the work folder" for n in strays]
        if not isinstance(made, Path) or not made.is_dir():
            raise BrokenClaim(f"{hook} returned {made!r}, which is not a folder")
        given = arguments.get("source") or arguments.get("converted")
        if made != given and not made.resolve().is_relative_to(workdir.resolve()):
            raise BrokenClaim(f"{hook} returned {made}, which is not below its work folder")
        if made == given and any(workdir.iterdir()):
            raise BrokenClaim(f"{hook} wrote into its work folder and returned what it was given")
        return made, strays

    def _make(self, number: int) -> Made:
        events: list[Event] = []
        place = self.root / f"made-{number}"
        made, _ = self.step("convert", place, events, source=self.source, adapters=self.adapters)
        if self.build.optimize:
            made, _ = self.step("optimize", place, events, converted=made)
        return Made(made, tuple(events), digests_of(made))

    def close(self) -> None:
        """Close the model, and remove what was made."""
        try:
            self._stack.close()
        except Exception as error:
            raise BrokenClaim(f"close raised {type(error).__name__}: {said(error)}") from error


def _usual_task(family: str) -> str:
    """The task of a family's recipes, else text generation."""
    for listing in open_catalog():
        if listing.facts and listing.family == family:
            return listing.task
    return TEXT
