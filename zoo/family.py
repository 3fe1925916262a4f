"""From installed plugins to a `Family`: loading, isolation, and the typed door to the hooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from zoo import defaults, hookspecs
from zoo.catalogs.formats import format_of
from zoo.catalogs.pairs import formats_for, listed, runner
from zoo.costs import Cost
from zoo.discovery import (
    FAMILIES,
    FORMATS,
    SCORERS,
    Provider,
    provider,
    providers,
)
from zoo.errors import BrokenPlugin, MissingPlugin, StepError, UsageError, ZooError, said
from zoo.files import system
from zoo.findings import LintReport
from zoo.words import suggest

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe
    from zoo.progress import Progress
    from zoo.tasks.model import Model

CORE = "zoo"
HOOKS = ("download", "convert", "optimize", "run", "cost", "lint")


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
        self._answers: dict[str, str] = {}
        self._manager = pluggy.PluginManager("zoo")
        self._manager.add_hookspecs(hookspecs)
        self._add(defaults, CORE)
        for origin in _providers(family, format):
            if complete:
                origin.require()
            self._add(load_plugin(origin), str(origin))
        self._listed = listed(family, format)
        if not self._listed and "run" not in self._answers:
            raise self._unknown()

    def download(self, recipe: Recipe, dest: Path, progress: Progress) -> Path:
        return self._path("download", recipe, dest=dest, progress=progress)

    def convert(
        self,
        recipe: Recipe,
        build: Build,
        source: Path,
        adapters: Mapping[str, Path],
        workdir: Path,
        progress: Progress,
    ) -> Path:
        return self._path(
            "convert",
            recipe,
            build=build,
            source=source,
            adapters=adapters,
            workdir=workdir,
            progress=progress,
        )

    def optimize(
        self, recipe: Recipe, build: Build, converted: Path, workdir: Path, progress: Progress
    ) -> Path:
        return self._path(
            "optimize", recipe, build=build, converted=converted, workdir=workdir, progress=progress
        )

    def run(
        self, recipe: Recipe, build: Build, artifact: Path, adapters: Mapping[str, Path]
    ) -> Model:
        from zoo.tasks.registry import task_of

        expected = task_of(recipe.task).model()
        model = self._call("run", recipe, build=build, artifact=artifact, adapters=adapters)
        if not isinstance(model, expected):
            home = "zoo." if expected.__module__.startswith("zoo.") else ""
            said = f"returned {model!r}, which is not a {home}{expected.__name__}"
            raise self._failure("run", recipe, f"{said}, as {recipe.task} needs")
        model.ref, model.defaults = recipe.ref, recipe.defaults
        return model

    def cost(self, recipe: Recipe, build: Build, artifact: Path, tokens: int | None) -> Cost:
        if "cost" not in self._answers:
            others = [name for name in recipe.formats if format_of(name).reports_cost]
            raise UsageError(
                f"builds of '{recipe.ref}' in the format '{self.format}' have no cost report",
                f"choose another format: --format {others[0]}" if others else None,
            )
        result = self._call("cost", recipe, build=build, artifact=artifact, tokens=tokens)
        if not isinstance(result, Cost):
            raise self._failure("cost", recipe, f"returned {result!r}, which is not a zoo.Cost")
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
        if "lint" not in self._answers:
            raise UsageError(f"the format '{self.format}' has no lint")
        return self._report(
            self._call(
                "lint",
                recipe,
                build=build,
                artifact=artifact,
                target=target,
                system=system,
                plan=plan,
            ),
            recipe,
        )

    def _report(self, found: Any, recipe: Recipe) -> LintReport:
        if not isinstance(found, LintReport):
            raise self._failure("lint", recipe, f"returned {found!r}, which is no zoo.LintReport")
        return found

    def answers(self, hook: str) -> str | None:
        """The distribution whose implementation of `hook` goes first."""
        return self._answers.get(hook)

    def ask(self, hook: str, **arguments: Any) -> Any:
        """What a hook answers, whatever it is: for contracts, which judge it themselves."""
        return getattr(self._manager.hook, hook)(**arguments)

    def _add(self, plugin: ModuleType, origin: str) -> None:
        try:
            self._manager.register(plugin)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise BrokenPlugin(_explain(plugin, origin, error)) from error
        for hook in HOOKS:
            implementation: Any = getattr(plugin, hook, None)
            if hasattr(implementation, "zoo_impl"):
                _check_annotations(hook, implementation, origin)
                self._answers[hook] = origin

    def _path(self, hook: str, recipe: Recipe, **arguments: Any) -> Path:
        path = self._call(hook, recipe, **arguments)
        if not isinstance(path, Path) or not path.is_dir():
            raise self._failure(hook, recipe, f"returned {path!r}, which is not a folder")
        return path

    def _call(self, hook: str, recipe: Recipe, **arguments: Any) -> Any:
        if hook not in self._answers:
            raise self._failure(hook, recipe, f"has no '{hook}' hook")
        try:
            result = getattr(self._manager.hook, hook)(recipe=recipe, **arguments)
        except (ZooError, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever a plugin does, the program goes on
            raise self._unplanned(hook, recipe, error) from error
        if result is None:
            if not self._listed and hook == "run":
                raise self._unknown()
            raise self._failure(hook, recipe, "returned nothing")
        return result

    def _unknown(self) -> MissingPlugin:
        """The error about a family that the format's plugin does not know."""
        who = self._answers.get("run")
        others = [name for name in formats_for(self.family) if name != self.format]
        return MissingPlugin(
            f"{who} does not run the family '{self.family}' in the format '{self.format}'"
            if who
            else f"no installed plugin runs the family '{self.family}' in the format "
            f"'{self.format}'",
            f"other formats of {self.family}: {', '.join(others)}" if others else None,
        )

    def _unplanned(self, hook: str, recipe: Recipe, error: BaseException) -> ZooError:
        """What to tell of an exception that a hook should not have raised."""
        ours = self._answers[hook] == CORE
        if isinstance(error, OSError) and (ours or error.errno in system.MACHINE):
            known = system.explain(error)
            return type(known)(f"{hook} of '{recipe.ref}': {known.message}", known.hint)
        return self._failure(hook, recipe, f"{type(error).__name__}: {said(error)}")

    def _failure(self, hook: str, recipe: Recipe, reason: str) -> StepError:
        who = self._answers.get(hook, f"the plugin for {self.family}.{self.format}")
        return StepError(
            f"{hook} of '{recipe.ref}' failed in {who}: {reason}",
            "run again with --debug for the traceback",
        )


def culprit(error: BaseException) -> str | None:
    """The plugin in whose code an exception was raised, or passed through, if it was one's."""
    modules = {}
    for group in (FAMILIES, FORMATS):
        for claims in providers(group).values():
            for origin in claims:
                module = origin.value.partition(":")[0]
                modules[module.rpartition(".")[0] or module] = origin
    modules.pop(CORE, None)
    found = None
    trace = error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        while name and name not in modules:
            name = name.rpartition(".")[0]
        found = modules.get(name, found)
        trace = trace.tb_next
    return None if found is None else f"the plugin '{found.name}' of {found}"


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


def load_scorer(name: str) -> Callable[[Any, str], bool]:
    """The function that some plugin's entry point in `zoo.scorers` names.

    Raises:
        MissingPlugin, PluginConflict: nobody provides it, or several do.
        MissingExtra, BrokenPlugin: it cannot be loaded, and why.
    """
    origin = provider(SCORERS, name)
    origin.require()
    scorer: Callable[[Any, str], bool] = origin.load()
    return scorer


def load_plugin(origin: Provider) -> Any:
    """The module or object of hooks that an entry point names.

    Raises:
        BrokenPlugin: it cannot be imported, or has no hooks.
    """
    plugin = origin.load()
    if not any(hasattr(getattr(plugin, name, None), "zoo_impl") for name in dir(plugin)):
        raise BrokenPlugin(
            f"the plugin '{origin.name}' of {origin} has no hooks",
            f"mark its functions with @zoo.hookimpl; the hooks are {', '.join(HOOKS)}",
        )
    return plugin


def _explain(plugin: Any, origin: str, error: pluggy.PluginValidationError) -> str:
    name = getattr(plugin, "__name__", repr(plugin))
    for attribute in dir(plugin):
        implementation: Any = getattr(plugin, attribute, None)
        if not hasattr(implementation, "zoo_impl"):
            continue
        if attribute not in HOOKS:
            close = suggest(attribute, HOOKS)
            return f"'{name}' of {origin} implements '{attribute}', which is not a hook{close}"
        allowed = inspect.signature(getattr(hookspecs, attribute)).parameters
        for argument in inspect.signature(implementation).parameters:
            if argument not in allowed:
                close = suggest(argument, allowed)
                return (
                    f"'{attribute}' in '{name}' of {origin} takes '{argument}', "
                    f"which the hook does not offer{close or ':'} it has {', '.join(allowed)}"
                )
    return f"'{name}' of {origin} does not keep to the hooks: {error}"


def _check_annotations(hook: str, implementation: Any, origin: str) -> None:
    """Refuse an annotation that contradicts the hook's; none at all is fine."""
    promised = inspect.signature(getattr(hookspecs, hook)).parameters
    for name, parameter in inspect.signature(implementation).parameters.items():
        said, meant = _type_name(parameter.annotation), _type_name(promised[name].annotation)
        if said and said not in (meant, "Any", "object"):
            raise BrokenPlugin(
                f"'{hook}' of {origin} declares '{name}' as {said}, but the hook passes {meant}"
            )


def _type_name(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.strip("'\"").partition("[")[0].rpartition(".")[2]
