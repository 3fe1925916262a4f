"""The Python API. The command line calls the same functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, overload

from zoo import machine
from zoo.catalogs.catalog import Catalog, open_catalog
from zoo.catalogs.formats import described_formats, format_of, require_described
from zoo.catalogs.pins import Lock
from zoo.catalogs.recipe import Recipe
from zoo.display.notices import Notices
from zoo.pipeline.choice import choose, require_fit
from zoo.pipeline.opening import open_pipeline, open_plan, require_task, resolve_recipe
from zoo.pipeline.pipeline import Pipeline
from zoo.pipeline.plan import Plan
from zoo.pipeline.reporting import memory_of, report_cost, report_lint
from zoo.progress import Listener
from zoo.store.store import Artifact, Store
from zoo.tasks.model import AdapterChoice, Model
from zoo.tasks.verdict import Verdict

if TYPE_CHECKING:
    from zoo.pipeline.fitting import Fitting
    from zoo.reports.costs import Cost
    from zoo.reports.devices import Device
    from zoo.reports.findings import LintReport
    from zoo.tasks.pictures.model import ImageModel
    from zoo.tasks.speech.model import SpeechModel
    from zoo.tasks.text.model import TextModel

M = TypeVar("M", bound=Model)

TextName = Literal["mistral", "mistral:mini", "openelm", "openelm:mini"]
SpeechName = Literal["whisper", "whisper:mini"]
ImageName = Literal["stable-diffusion", "stable-diffusion:mini"]


notes = Notices()
"""The listener of Python callers: notes on stderr, and progress in a terminal or a notebook."""


def catalog() -> Catalog:
    """Open all catalogs: the one shipped with zoo, those of plugins, and the user's.

    Returns: a catalog to iterate over, search and resolve names in. Nothing is downloaded.
    """
    return open_catalog()


def show(ref: str, *, family: str | None = None) -> Recipe:
    """Read the recipe of a model, with its source pinned as in `zoo.lock`.

    Args:
        ref: `name[:variant]`, a folder such as `./checkpoint`, or `hf:owner/name@commit`.
        family: the architecture of a folder or repository, if its config.json does not name it.

    Raises:
        NotFound: there is no such model, variant or folder.
        AmbiguousName: several catalogs have a model of this name.
        UsageError: `ref` is not a model reference.
        RecipeError: the recipe is invalid.
    """
    return resolve(ref, family=family)[0]


def resolve(ref: str, *, family: str | None = None) -> tuple[Recipe, str | None]:
    """The recipe of `ref`, as from `show`, and the build that `ref` names, if any.

    Raises:
        NotFound: there is no such model or build; whatever `show` raises.
        PluginError: the description of the build's format cannot be used.
    """
    recipe, named = resolve_recipe(ref, family)
    if named is not None:
        require_described(recipe.pick(named)[1].format)
    return Lock(machine.lock_file()).pin_recipe(recipe), named


def plan(
    ref: str, *, build: str | None = None, format: str | None = None, family: str | None = None
) -> Plan:
    """List the steps, plugins, bytes and memory of a `build` or `load`, without network access.

    Args:
        ref: as for `load`.
        build: as for `load`.
        format: as for `load`.
        family: as for `load`.

    Raises:
        NotFound: there is no such model or build; see `show` for others.
    """
    return open_plan(ref, build, format, family, notes)[0]


def pull(ref: str, *, family: str | None = None, listener: Listener = notes) -> Artifact:
    """Download and verify the source of a model and its adapters.

    Args:
        ref: as for `load`.
        family: as for `load`.
        listener: called with every progress `Event`.

    Returns: the stored source; its `path` is the folder of the checkpoint.

    Raises:
        NotFound: the model, or a file of its source, does not exist.
        Gated: the source requires an accepted license or a token.
        Offline: the network or the Hub is not available.
        IntegrityError: a file differs from its pinned hash.
        NoRoom: there is not enough disk space.
    """
    recipe, named = resolve_recipe(ref, family, listener)
    name, _ = choose(recipe, named, None)
    pipeline = Pipeline(recipe, name, store(), Lock(machine.lock_file()), listener)
    pipeline.adapters()
    return pipeline.fetch()


def build(
    ref: str,
    *,
    build: str | None = None,
    format: str | None = None,
    family: str | None = None,
    adapter: str | None = None,
    check: bool = True,
    force: bool = False,
    listener: Listener = notes,
) -> Artifact:
    """Download, convert, optimize and check a build. Completed steps are skipped.

    Args:
        ref: as for `load`.
        build: as for `load`.
        format: as for `load`.
        family: as for `load`.
        adapter: an adapter to build in, for formats that store adapters in the build.
        check: whether to compare the build with its source, unless that was done before.
        force: convert and optimize again, even if the build exists.
        listener: called with every progress `Event`.

    Returns: the stored build; its `path` is the folder with the files.

    Raises:
        CheckFailed: the build differs from its source by more than its limits allow.
        StepError: a hook of a plugin failed.
        ZooError: the download failed; see `pull`.
    """
    pipeline, _ = open_pipeline(ref, build, format, family, listener, adapter)
    require_task(pipeline.recipe)
    return pipeline.make_checked(again=force) if check else pipeline.make(False, again=force)


def check(
    ref: str,
    *,
    build: str | None = None,
    format: str | None = None,
    family: str | None = None,
    adapter: str | None = None,
    listener: Listener = notes,
) -> Verdict:
    """Compare a build with its source, even if it was checked before, and store the verdict.

    Args:
        ref: as for `load`. The build is made first if needed.
        build: as for `load`.
        format: as for `load`.
        family: as for `load`.
        adapter: as for `build`.
        listener: called with every progress `Event`.

    Returns: the metrics and whether they keep the limits. A failed check does not raise.

    Raises:
        ZooError: the build cannot be made; see `build`.
    """
    pipeline, _ = open_pipeline(ref, build, format, family, listener, adapter)
    require_task(pipeline.recipe)
    return pipeline.check()


def cost(
    ref: str,
    *,
    build: str | None = None,
    format: str | None = None,
    family: str | None = None,
    tokens: int | None = None,
    most: int | None = None,
    listener: Listener = notes,
) -> Cost:
    """Count the parameters, bytes and arithmetic of a build, by operation.

    The build is made first if needed.

    Args:
        ref: as for `load`.
        build: as for `load`.
        format: as for `load`; by default the first one that reports costs.
        family: as for `load`.
        tokens: number of tokens that a language model processes at once; `None` for one.
        most: bytes that making the build may write; `None` for no limit.
        listener: called with every progress `Event`.

    Raises:
        UsageError: the format reports no costs, or making the build writes more than `most`.
        ZooError: the build cannot be made; see `build`.
    """
    if build is None and format is None:
        recipe, named = resolve_recipe(ref, family)
        costed = [name for name in recipe.formats if format_of(name).reports_cost]
        format = costed[0] if costed and named is None else None
    pipeline, _ = open_pipeline(ref, build, format, family, listener)
    return report_cost(pipeline, tokens, most)


def fit_device(
    ref: str,
    device: Device,
    *,
    context: int | None = None,
    build: str | None = None,
    format: str | None = None,
    family: str | None = None,
    listener: Listener = notes,
) -> Fitting:
    """Whether a build fits a device: from its shapes if it is in the store, else by an estimate.

    Downloads and builds nothing.

    Args:
        device: one of `zoo.reports.devices`, or a `Device` with another amount of memory.
        context: context length of a language model, in tokens.

    Raises:
        UsageError: the model is no language model, or `context` is longer than it supports.
    """
    from zoo.pipeline.fitting import fit_build, require_context

    recipe, named = resolve_recipe(ref, family)
    if build is None and format is None and named is None and device.phone:
        format = next((f for f in recipe.formats if not format_of(f).runs_source), None)
    pipeline, _ = open_pipeline(ref, build, format, family, listener)
    recipe = pipeline.recipe
    require_context(recipe, context)
    return fit_build(recipe, pipeline.name, device, context, memory_of(pipeline))


def app_folder(
    ref: str,
    dest: Path,
    *,
    build: str | None = None,
    format: str | None = None,
    family: str | None = None,
    adapter: str | None = None,
    listener: Listener = notes,
) -> dict[str, Any]:
    """Write the folder of a build for an app; see `zoo.pipeline.app_folder`.

    Without a build or a format it is the one that a Mac would run, of the formats that are for
    apps and are installed.

    Raises:
        UsageError: builds in this format are not for apps; whatever `write_app` raises.
    """
    from zoo.pipeline.app_folder import app_format, require_new, write_app
    from zoo.store.reports import Reports

    require_new(dest)
    recipe, named = resolve_recipe(ref, family, listener)
    format = app_format(recipe, build or named, format)
    pipeline, _ = open_pipeline(ref, build, format, family, listener, adapter)
    require_task(pipeline.recipe)
    artifact = pipeline.make_checked()
    with pipeline.store.using(artifact.manifest.key):
        return write_app(pipeline.pinned, artifact, Reports(pipeline.store.home), dest)


def lint(
    ref: str,
    *,
    target: str = "any",
    system: str | None = None,
    plan: bool = False,
    build: str | None = None,
    format: str | None = None,
    family: str | None = None,
    listener: Listener = notes,
) -> LintReport:
    """Find known device faults in a build from its files, without a device.

    Args:
        ref: a model, which is built first if needed, or the path of a package such as
            `./model.mlpackage`.
        target: `iphone-neural-engine`, `iphone`, `gpu`, `mac-gpu`, `mac` or `any`.
        system: the oldest system to consider, such as `ios18` or `macos15`; `None` for any.
        plan: whether to compare the prediction with Core ML's compute plan, on a Mac only.
        build: as for `load`.
        format: as for `load`.
        family: as for `load`.
        listener: called with every progress `Event`.

    Raises:
        UsageError: the target or system is unknown, or the format has no lint.
        NotFound: the path does not exist.
        InputError: the path is not a package.
        IntegrityError: the package is damaged.
    """
    for name in described_formats():
        if Path(ref).suffix in format_of(name).packages:
            from zoo.family import lint_package

            return lint_package(name, Path(ref).expanduser(), target, system, plan)
    if build is None and format is None:
        recipe, named = resolve_recipe(ref, family)
        linted = [name for name in recipe.formats if format_of(name).packages]
        format = linted[0] if linted and named is None else None
    pipeline, _ = open_pipeline(ref, build, format, family, listener)
    return report_lint(pipeline, target, system, plan)


class LoadOptions(TypedDict, total=False):
    """The keyword arguments of `load`, except `task`."""

    build: str | None
    format: str | None
    family: str | None
    adapter: AdapterChoice
    device: str | None
    check: bool
    force: bool
    listener: Listener


@overload
def load(ref: str, *, task: Callable[..., M], **options: Unpack[LoadOptions]) -> M: ...
@overload
def load(ref: TextName, **options: Unpack[LoadOptions]) -> TextModel: ...
@overload
def load(ref: SpeechName, **options: Unpack[LoadOptions]) -> SpeechModel: ...
@overload
def load(ref: ImageName, **options: Unpack[LoadOptions]) -> ImageModel: ...
@overload
def load(ref: str, **options: Unpack[LoadOptions]) -> Any: ...
def load(
    ref: str,
    *,
    task: Callable[..., Model] = Model,
    build: str | None = None,
    format: str | None = None,
    family: str | None = None,
    adapter: AdapterChoice = None,
    device: str | None = None,
    check: bool = True,
    force: bool = False,
    listener: Listener = notes,
) -> Model:
    """Load a model, ready to run. It is downloaded and built first if needed.

    Type checkers infer the class of a model in the shipped catalog, such as `whisper:mini`, from
    its name. For other models, pass `task`: `zoo.load("./voice", task=zoo.SpeechModel)`.

    Args:
        ref: `name[:variant[/build]]`, a folder such as `./checkpoint`, or `hf:owner/name@commit`.
        task: the expected model class, such as `zoo.TextModel`.
        build: the build to run; by default the first one in the format.
        format: the format to run; by default the one that suits this machine, printed on stderr.
        family: the architecture of a folder or repository, if its config.json does not name it.
        adapter: the initial LoRA adapter, which `Model.use` changes: a name in the recipe, a folder
            such as `./pirate`, or `hf:owner/name@commit`. To combine several, map each to its
            weight, such as `{"ink": 0.6, "outline": 0.4}`.
        device: the PyTorch device, for the format torch: `cpu`, `mps`, `cuda` or `cuda:1`; by
            default the fastest one available.
        check: whether to compare a new build with its source.
        force: load even if the model is not expected to fit in memory.
        listener: called with every progress `Event`.

    Returns: the model, an instance of the class of its task.

    Raises:
        UsageError: the model is for another task, or its format cannot run on `device`.
        DoesNotFit: the model is not expected to fit in memory.
        ZooError: the model cannot be built; see `build`. No partial result is left.
    """
    pipeline, using = open_pipeline(ref, build, format, family, listener, adapter)
    require_task(pipeline.recipe, task)
    if not force:
        require_fit(pipeline.recipe, pipeline.name)
    format = pipeline.build.format
    with nullcontext() if device is None else format_of(format).running_on(device):
        model = pipeline.load(check)
    model.build, model.format = pipeline.name, format
    if using is not None:
        try:
            model.use(using)
        except BaseException:
            model.close()
            raise
    return model


def store() -> Store:
    """The artifacts on this disk."""
    return Store(machine.home())
