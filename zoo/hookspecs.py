"""The four hooks that make and run a model, and two that report on a build: cost and lint.

A plugin is a module with some of them; each docstring here is its tutorial.

A family that needs nothing special in a format writes `run` alone; every other step has a default.
For one (family, format) pair the family's hook goes first, then the format's, then zoo's own: the
first that does not return `None` is the answer. A hook names only the arguments that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe
    from zoo.costs import Cost
    from zoo.findings import LintReport
    from zoo.progress import Progress
    from zoo.tasks.model import Model

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec(firstresult=True)
def download(recipe: Recipe, dest: Path, progress: Progress) -> Path:
    """Bring the source model to this machine and verify it.

    When: once for each source, before anything else. The default fetches from the Hugging Face
    Hub, or takes the folder that the recipe names; override it for a source that lives elsewhere.

    Arguments:
        recipe: the recipe; `recipe.source` says what to bring, and `recipe.tokenizer`, when it is
            not `None`, where the tokenizer's files are that the source lacks.
        dest: an empty folder to write in.
        progress: call `progress.update(done, total)` with bytes.

    Returns: the folder that holds the files of `recipe.source.files`: below `dest`, or elsewhere
    when the files have a home of their own (the Hub's cache, a user's folder).

    Errors: raise a `zoo.ZooError` for what a user can fix (`zoo.NotFound`, `zoo.Gated`,
    `zoo.Offline`, `zoo.IntegrityError`); anything else is reported as a fault of the plugin.

    Example:
        >>> @zoo.hookimpl
        ... def download(recipe, dest):
        ...     for file in recipe.source.files:
        ...         shutil.copy(MIRROR / file.path, dest / file.path)
        ...     return dest
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def convert(
    recipe: Recipe,
    build: Build,
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    progress: Progress,
) -> Path:
    """Turn the source model into this format.

    When: after `download`, once for each build with other `options`. The default keeps the source
    as it is, which suits a format that reads the source's own files.

    Arguments:
        recipe: the recipe.
        build: the build; `build.options` is yours to read and validate.
        source: the folder that `download` returned. Read only.
        adapters: the folder of each of `recipe.adapter`, by name. A format that chooses an
            adapter at run time from files of its own writes them here; others leave it to `run`.
        workdir: an empty folder to write in; nothing outside it may change.
        progress: call `progress.update(done, total)` in any unit.

    Returns: a folder below `workdir`, or `source` itself when there is nothing to do. The result
    must not depend on anything but the arguments.

    Errors: as for `download`.

    Example:
        >>> @zoo.hookimpl
        ... def convert(source, workdir):
        ...     weights = rename(load_file(source / "model.safetensors"))
        ...     save_file(weights, workdir / "model.safetensors")
        ...     return workdir
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def optimize(
    recipe: Recipe, build: Build, converted: Path, workdir: Path, progress: Progress
) -> Path:
    """Make the converted model smaller or faster.

    When: after `convert`, only for a build whose recipe lists optimizations. Formats bring it:
    a family overrides it when its architecture needs passes of its own.

    Arguments:
        recipe: the recipe.
        build: the build; `build.optimize` lists the passes in order, each with `kind`, `options`.
        converted: the folder that `convert` returned. Read only.
        workdir: an empty folder to write in; nothing outside it may change.
        progress: call `progress.update(done, total)` in any unit.

    Returns: a folder below `workdir`.

    Errors: as for `download`; a `kind` or option that you do not know is a `zoo.RecipeError`.

    Example:
        >>> @zoo.hookimpl
        ... def optimize(build, converted, workdir):
        ...     for step in build.optimize:
        ...         quantize(converted, workdir, bits=step.options["bits"])
        ...     return workdir
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def run(recipe: Recipe, build: Build, artifact: Path, adapters: Mapping[str, Path]) -> Model:
    """Load a finished build and return something to call.

    When: for every `zoo.load`. It is the one hook without a default.

    Arguments:
        recipe: the recipe.
        build: the build.
        artifact: the folder of the finished build. Read only.
        adapters: the folder of each of `recipe.adapter`, by name. A model that can use them has
            their names in `Model.adapters`, and overrides `Model.switch`.

    Returns: a model of the recipe's task: a `zoo.TextModel` for text generation, and so on.

    Errors: as for `download`.

    Example:
        >>> @zoo.hookimpl
        ... def run(recipe, artifact):
        ...     return MyTextModel(artifact, recipe)
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def cost(recipe: Recipe, build: Build, artifact: Path, tokens: int | None) -> Cost:
    """Count what a finished build takes to run, operation by operation.

    When: for `zoo cost`. The hook is optional: the other four make and run a model without it. A
    format brings it for all of its families.

    Arguments:
        recipe: the recipe.
        build: the build.
        artifact: the folder of the finished build. Read only.
        tokens: how many tokens go through a language model at once; `None` for one.

    Returns: a `zoo.Cost`.

    Errors: as for `download`.

    Example:
        >>> @zoo.hookimpl
        ... def cost(artifact):
        ...     layers = read_layers(artifact)
        ...     return zoo.Cost("one picture", tuple(map(operation_of, layers)))
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def lint(
    recipe: Recipe | None,
    build: Build | None,
    artifact: Path,
    target: str,
    system: str | None,
    plan: bool,
) -> LintReport:
    """Find what is known to go wrong with a build on a device, from its files alone.

    When: for `zoo lint`, and before a build is published. The hook is optional. A format brings it
    for all of its families.

    Arguments:
        recipe: the recipe; `None` for a package that zoo did not build.
        build: the build; `None` likewise.
        artifact: the folder of the build, or the package itself. Read only.
        target: the device and unit, as given to `--for`, such as `iphone-neural-engine`.
        system: the system, as given to `--os`, such as `ios18`; `None` for any.
        plan: whether to put the system's own plan beside the prediction, as `Placement.planned`.

    Returns: a `zoo.LintReport`, its findings from worst to least.

    Errors: as for `download`; a target or system that you do not know is a `zoo.UsageError`,
    and so is a plan that cannot be had here.

    Example:
        >>> @zoo.hookimpl
        ... def lint(artifact, target, system):
        ...     findings = tuple(rule(artifact) for rule in rules_for(target, system))
        ...     return zoo.LintReport(target, system, findings)
    """
    raise NotImplementedError
