"""The four hooks that make and run a model, and three for a build: cost, lint and annotate.

A plugin is a module that implements some of them. Each docstring describes one hook.

Only `run` is required; every other step has a default. For a (family, format) pair zoo calls the
family's hook first, then the format's, then its own default. The first result that is not `None`
is used. A hook declares only the arguments that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe
    from zoo.progress import Progress
    from zoo.reports.costs import Cost
    from zoo.reports.findings import LintReport
    from zoo.tasks.model import Model
    from zoo.tasks.verdict import Verdict

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")
"""Marks a function of a plugin as the implementation of the hook of the same name."""


@hookspec(firstresult=True)
def download(recipe: Recipe, dest: Path, progress: Progress) -> Path:
    """Download the source model and verify it.

    When: once for each source, as the first step. The default downloads from the Hugging Face Hub,
    or uses the folder that the recipe names. Override it for sources elsewhere.

    Arguments:
        recipe: the recipe; `recipe.source` lists the files to download. If `recipe.tokenizer` is
            not `None`, the tokenizer's files come from there.
        dest: an empty folder to write in.
        progress: call `progress.update(done, total)` with bytes.

    Returns: the folder that holds the files of `recipe.source.files`: below `dest`, or elsewhere
    if the files are stored in another place (the Hub's cache, a user's folder).

    Errors: raise a `zoo.ZooError` for problems that a user can fix (`zoo.NotFound`, `zoo.Gated`,
    `zoo.Offline`, `zoo.IntegrityError`). Any other exception is reported as a bug of the plugin.

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
    """Convert the source model to this format.

    When: after `download`, once for each combination of build `options`. The default uses the
    source unchanged, for formats that read the source's files directly.

    Arguments:
        recipe: the recipe.
        build: the build; the plugin reads and validates `build.options`.
        source: the folder that `download` returned. Read only.
        adapters: the folder of each of `recipe.adapter`, by name. A format that stores adapters
            in the build converts them here; others load them in `run`.
        workdir: an empty folder to write in; nothing outside it may change.
        progress: call `progress.update(done, total)` in any unit.

    Returns: a folder below `workdir`, or `source` itself if there is nothing to convert. The result
    must depend on the arguments only.

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
    """Compress or speed up the converted model.

    When: after `convert`, only for builds that list optimizations. Formats implement it. A family
    overrides it if its architecture needs other passes.

    Arguments:
        recipe: the recipe.
        build: the build; `build.optimize` lists the passes in order, each with `kind`, `options`.
        converted: the folder that `convert` returned. Read only.
        workdir: an empty folder to write in; nothing outside it may change.
        progress: call `progress.update(done, total)` in any unit.

    Returns: a folder below `workdir`.

    Errors: as for `download`; an unknown `kind` or option is a `zoo.RecipeError`.

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
    """Load a finished build and return a model.

    When: for every `zoo.load`. This is the only hook without a default.

    Arguments:
        recipe: the recipe.
        build: the build.
        artifact: the folder of the finished build. Read only.
        adapters: the folder of each of `recipe.adapter`, by name. A model that supports them
            lists their names in `Model.adapters` and overrides `Model.switch`.

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
    """Count the parameters, bytes and arithmetic of a finished build, by operation.

    When: for `zoo cost`. The hook is optional. A format implements it for all of its families.

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
    """Find the known device faults that a build triggers, from its files.

    When: for `zoo lint`, and before a build is published. The hook is optional. A format
    implements it for all of its families.

    Arguments:
        recipe: the recipe; `None` for a package that zoo did not build.
        build: the build; `None` likewise.
        artifact: the folder of the build, or the package itself. Read only.
        target: the device and unit, as given to `--for`, such as `iphone-neural-engine`.
        system: the system, as given to `--os`, such as `ios18`; `None` for any.
        plan: whether to add the system's own compute plan, as `Placement.planned`.

    Returns: a `zoo.LintReport`, its findings sorted by severity.

    Errors: as for `download`; an unknown target or system is a `zoo.UsageError`, and so is
    `plan` where the system has no compute plan.

    Example:
        >>> @zoo.hookimpl
        ... def lint(artifact, target, system):
        ...     findings = tuple(rule(artifact) for rule in rules_for(target, system))
        ...     return zoo.LintReport(target, system, findings)
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def annotate(recipe: Recipe, build: Build, folder: Path, verdict: Verdict) -> Path:
    """Write the figures of the check into the metadata of a finished build.

    When: after the check measured a new build, and before its files are hashed and published. The
    hook is optional. A format with metadata implements it for all of its families. A published
    build never changes, so that `zoo check` does not call it.

    Arguments:
        recipe: the recipe.
        build: the build.
        folder: the folder of the build. Change metadata alone, and neither add nor remove files.
            Other artifacts may share its files by hard links: write a new file and rename it.
        verdict: what was measured, as `verdict.metrics`. Its status is not for the build, as the
            limits of a recipe may change later.

    Returns: `folder`. The same figures must make the same bytes.

    Errors: as for `download`.

    Example:
        >>> @zoo.hookimpl
        ... def annotate(folder, verdict):
        ...     write_metadata(folder / "model.bin", verdict.metrics)
        ...     return folder
    """
    raise NotImplementedError
