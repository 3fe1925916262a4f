"""From installed plugins to a `Family`: loading, isolation, and the typed door to the hooks."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from zoo import hookspecs
from zoo.catalogs.formats import format_of
from zoo.catalogs.pairs import formats_for, listed, runner
from zoo.display.interrupt import let_through
from zoo.display.streams import diverted
from zoo.errors import BrokenPlugin, MissingPlugin, StepError, UsageError, ZooError, said
from zoo.files import system
from zoo.files.results import result_fault
from zoo.files.watched import Shared, Watched
from zoo.hooks import defaults
from zoo.hooks.loading import load_plugin, register
from zoo.registry.discovery import FORMATS, Provider, provider, providers
from zoo.registry.distributions import damage
from zoo.registry.import_path import import_path_kept
from zoo.reports.costs import Cost
from zoo.reports.findings import LintReport

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe
    from zoo.progress import Progress
    from zoo.tasks.model import Model
    from zoo.tasks.verdict import Verdict

CORE = "zoo"
READ_ONLY = ("source", "converted", "artifact")
"""The arguments of hooks that are folders to read alone."""


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Pause garbage collection: the imports of a model create a million objects and no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Family:
    """One family in one format: the hooks of its plugins behind plain typed methods.

    Each method raises a `ZooError` that a hook raised as it is, what `files.system` says of a disk
    or a permission that failed, and `StepError`, naming model, step and distribution, for anything
    else: also when a hook asks to end the program.

    Args:
        family, format: the pair.
        complete: refuse to go on when packages that the plugins need are not installed; a download
            needs none of them.
    """

    def __init__(self, family: str, format: str, *, complete: bool = True) -> None:
        self.family, self.format = family, format
        self._plugins: list[tuple[Any, str, list[str]]] = []
        self._manager = pluggy.PluginManager("zoo")
        self._manager.add_hookspecs(hookspecs)
        self._add(defaults, CORE)
        for origin in _providers(family, format):
            if complete:
                origin.require()
            self._add(load_plugin(origin), str(origin))
        self._listed = listed(family, format)
        if not self._listed and self.answers("run") is None:
            raise self._unknown()

    def download(self, recipe: Recipe, dest: Path, progress: Progress) -> Path:
        path, who = self._path("download", recipe, dest=dest, progress=progress)
        if who != CORE:
            files = [file for source in recipe.sources for file in source.files]
            defaults.require_pinned(path, files, f"what {who} brought of '{recipe.ref}'")
            if not any(path.iterdir()):
                raise self._failure("download", recipe, "brought nothing", who)
        return path

    def convert(
        self,
        recipe: Recipe,
        build: Build,
        source: Path,
        adapters: Mapping[str, Path],
        workdir: Path,
        progress: Progress,
    ) -> Path:
        path, _ = self._path(
            "convert",
            recipe,
            build=build,
            source=source,
            adapters=adapters,
            workdir=workdir,
            progress=progress,
        )
        return path

    def optimize(
        self, recipe: Recipe, build: Build, converted: Path, workdir: Path, progress: Progress
    ) -> Path:
        path, _ = self._path(
            "optimize", recipe, build=build, converted=converted, workdir=workdir, progress=progress
        )
        return path

    def run(
        self, recipe: Recipe, build: Build, artifact: Path, adapters: Mapping[str, Path]
    ) -> Model:
        from zoo.tasks.registry import task_of

        expected = task_of(recipe.task).model()
        with _collection_paused():
            model, who = self._call(
                "run", recipe, build=build, artifact=artifact, adapters=adapters
            )
        if not isinstance(model, expected):
            home = "zoo." if expected.__module__.startswith("zoo.") else ""
            said = f"returned {model!r}, which is not a {home}{expected.__name__}"
            raise self._failure("run", recipe, f"{said}, as {recipe.task} needs", who)
        model.ref, model.defaults = recipe.ref, recipe.defaults
        return model

    def require_cost(self, recipe: Recipe) -> None:
        """Refuse a format that reports no costs, before anything is built."""
        if self.answers("cost") is None:
            others = [name for name in recipe.formats if format_of(name).reports_cost]
            raise UsageError(
                f"builds of '{recipe.ref}' in the format '{self.format}' have no cost report",
                f"choose another format: --format {others[0]}" if others else None,
                in_python=f'choose another format: format="{others[0]}"' if others else None,
            )

    def require_lint(self) -> None:
        """Refuse a format that has no lint, before anything is built."""
        if self.answers("lint") is None:
            raise UsageError(f"the format '{self.format}' has no lint")

    def cost(self, recipe: Recipe, build: Build, artifact: Path, tokens: int | None) -> Cost:
        result, who = self._call("cost", recipe, build=build, artifact=artifact, tokens=tokens)
        if not isinstance(result, Cost):
            raise self._failure(
                "cost", recipe, f"returned {result!r}, which is not a zoo.Cost", who
            )
        return result

    def lint(
        self,
        recipe: Recipe,
        build: Build,
        artifact: Path,
        target: str,
        system: str | None,
        plan: bool = False,
    ) -> LintReport:
        found, who = self._call(
            "lint",
            recipe,
            build=build,
            artifact=artifact,
            target=target,
            system=system,
            plan=plan,
        )
        if not isinstance(found, LintReport):
            raise self._failure(
                "lint", recipe, f"returned {found!r}, which is not a zoo.LintReport", who
            )
        return found

    def annotate(self, recipe: Recipe, build: Build, folder: Path, verdict: Verdict) -> None:
        """Write the figures of a check into a build that is not published yet, where it can."""
        if self.answers("annotate") is None:
            return
        shared = Shared(folder)
        given, who = self._call("annotate", recipe, build=build, folder=folder, verdict=verdict)
        if given != folder:
            raise self._failure("annotate", recipe, f"returned {given!r}, not the folder", who)
        if fault := shared.fault() or result_fault(folder):
            raise self._failure("annotate", recipe, fault, who)

    def answers(self, hook: str) -> str | None:
        """The distribution whose implementation of `hook` goes first."""
        return next((who for _, who, hooks in reversed(self._plugins) if hook in hooks), None)

    def ask(self, hook: str, **arguments: Any) -> Any:
        """What a hook answers, whatever it is: for contracts, which judge it themselves."""
        return getattr(self._manager.hook, hook)(**arguments)

    def _add(self, plugin: Any, origin: str) -> None:
        self._plugins.append((plugin, origin, register(self._manager, plugin, origin)))

    def _path(self, hook: str, recipe: Recipe, **arguments: Any) -> tuple[Path, str]:
        """The folder that a step made, and who made it."""
        path, who = self._call(hook, recipe, **arguments)
        if not isinstance(path, Path) or not path.is_dir():
            raise self._failure(hook, recipe, f"returned {path!r}, which is not a folder", who)
        workdir = arguments.get("workdir")
        if workdir and path.is_relative_to(workdir) and (fault := result_fault(path)):
            raise self._failure(hook, recipe, fault, who)
        return path, who

    def _call(self, hook: str, recipe: Recipe, **arguments: Any) -> tuple[Any, str]:
        """The answer of the first plugin that has one, and who gave it."""
        who = f"the plugin for {self.family}.{self.format}"
        for plugin, origin, hooks in reversed(self._plugins):
            if hook not in hooks:
                continue
            who = origin
            if (result := self._ask(plugin, origin, hook, recipe, arguments)) is not None:
                return result, origin
            if not self._listed and hook in ("convert", "run"):
                raise self._unknown()
        if not self.answers(hook):
            raise self._failure(hook, recipe, f"has no '{hook}' hook", who)
        raise self._failure(hook, recipe, "returned nothing", who)

    def _ask(
        self, plugin: Any, origin: str, hook: str, recipe: Recipe, arguments: dict[str, Any]
    ) -> Any:
        """What one plugin answers; `None` where it leaves the step to others.

        It may print, and whatever it prints goes to stderr. What it may only read is compared
        before and after, and a folder that it filled must be what it returns.
        """
        others = [other for other, _, _ in self._plugins if other is not plugin]
        ask = self._manager.subset_hook_caller(hook, others)
        read = [arguments[name] for name in READ_ONLY if name in arguments]
        write = arguments.get("workdir", arguments.get("dest"))
        watched = Watched(read if origin != CORE else (), write if origin != CORE else None)
        try:
            with diverted(), import_path_kept():
                result = ask(recipe=recipe, **arguments)
        except ZooError:
            raise
        except BaseException as error:  # whatever a plugin does, the program goes on
            let_through(error)
            raise self._unplanned(hook, recipe, error, origin) from error
        if fault := watched.fault():
            raise self._failure(hook, recipe, fault, origin)
        if result is None and watched.written:
            wrote = watched.written[0]
            raise self._failure(
                hook, recipe, f"wrote '{wrote}' and returned nothing; return the folder", origin
            )
        return result

    def _unknown(self) -> MissingPlugin:
        """The error about a family that the format's plugin does not know."""
        who = self.answers("run") or "no installed plugin"
        does_not = "runs" if who == "no installed plugin" else "does not run"
        others = [name for name in formats_for(self.family) if name != self.format]
        return MissingPlugin(
            f"{who} {does_not} the family '{self.family}' in the format '{self.format}'",
            f"other formats of {self.family}: {', '.join(others)}" if others else None,
        )

    def _unplanned(self, hook: str, recipe: Recipe, error: BaseException, origin: str) -> ZooError:
        """What to tell of an exception that a hook should not have raised."""
        if (broken := damage(error)) is not None:
            return BrokenPlugin(f"{hook} of '{recipe.ref}' failed: {broken.message}", broken.hint)
        ours = origin == CORE
        if isinstance(error, OSError) and (ours or error.errno in system.MACHINE):
            known = system.explain(error)
            return type(known)(f"{hook} of '{recipe.ref}': {known.message}", known.hint)
        return self._failure(hook, recipe, f"{type(error).__name__}: {said(error)}", origin)

    def _failure(self, hook: str, recipe: Recipe, reason: str, who: str) -> StepError:
        return StepError(
            f"{hook} of '{recipe.ref}' failed in {who}: {reason}",
            "run again with --debug for the traceback",
            in_python="its exception is above, and in __cause__",
        )


def lint_package(
    format: str, path: Path, target: str, system: str | None, plan: bool = False
) -> LintReport:
    """Lint a package that belongs to no recipe, by the plugin of its format.

    Raises:
        MissingExtra: the format's packages are not installed.
        UsageError: the format has no lint; whatever its hook raises.
    """
    origin = provider(FORMATS, format)
    origin.require()
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    manager.register(load_plugin(origin))
    found = manager.hook.lint(
        recipe=None, build=None, artifact=path, target=target, system=system, plan=plan
    )
    if not isinstance(found, LintReport):
        raise UsageError(f"the format '{format}' has no lint")
    return found


def _providers(family: str, format: str) -> list[Provider]:
    """The format's plugin, if it has one, then the family's: later ones go first."""
    mine = runner(family, format)
    if format not in providers(FORMATS) or mine.group == FORMATS:
        return [mine]
    return [provider(FORMATS, format), mine]
