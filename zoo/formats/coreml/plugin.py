"""What all families share in the format `coreml`: passes, what a build costs, and its lint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import InputError
from zoo.formats.coreml.compress.folder import compress_folder
from zoo.formats.coreml.compress.passes import read_passes
from zoo.formats.coreml.convert.about import check_entries
from zoo.formats.coreml.cost import fixed_inputs, package_cost
from zoo.formats.coreml.description import SPEC_FILE, CoreML
from zoo.formats.coreml.language.convert import compress_decoder
from zoo.formats.coreml.language.mask import mask_names
from zoo.formats.coreml.language.neural_engine.cost import static_cost
from zoo.formats.coreml.language.neural_engine.manifest import MANIFEST_FILE
from zoo.formats.coreml.language.spec import PACKAGE, read_spec
from zoo.formats.coreml.lint.report import lint_folder, lint_package
from zoo.formats.coreml.lint.targets import oldest_of, read_target
from zoo.formats.coreml.memory import package_memory, together
from zoo.formats.coreml.package.reader import Package
from zoo.formats.coreml.package.saving import annotate as write_entries
from zoo.hookspecs import hookimpl
from zoo.progress import Progress
from zoo.reports.costs import Cost, Operation
from zoo.reports.findings import LintReport
from zoo.tasks.verdict import Verdict


@hookimpl
def cost(artifact: Path, tokens: int | None) -> Cost:
    """Of a language model: for so many tokens, the last of which fill its state."""
    if (artifact / SPEC_FILE).is_file():
        spec = read_spec(artifact)
        context = spec.context
        given = tokens or 1
        if given > context:
            raise InputError(f"{given} tokens are more than the {context} that the state holds")
        if (artifact / MANIFEST_FILE).is_file():
            return static_cost(artifact, spec, given)
        inputs = {
            "inputIds": (1, given),
            **dict.fromkeys(mask_names(spec), (1, 1, given, context)),
            "logitIndices": (1,),
        }
        many = "1 token" if given == 1 else f"{given:,} tokens"
        case = f"{many} after {context - given:,} others"
        memory = replace(package_memory(artifact / PACKAGE, inputs), context=context)
        return Cost(case, tuple(package_cost(artifact / PACKAGE, inputs)), memory=memory)
    operations: list[Operation] = []
    parts = []
    for path in sorted(artifact.rglob("*.mlpackage")):
        inputs = fixed_inputs(Package(path))
        operations += package_cost(path, inputs, path.stem)
        parts.append(package_memory(path, inputs))
    return Cost("one call of each component", tuple(operations), memory=together(parts))


@hookimpl
def annotate(folder: Path, verdict: Verdict) -> Path:
    """In every package of the build, as `zoo.check.FIGURE` or `zoo.check.ADAPTER.FIGURE`."""
    figures = check_entries(verdict)
    for package in sorted(folder.rglob("*.mlpackage")):
        write_entries(package, figures)
    return folder


@hookimpl
def lint(
    build: Build | None, artifact: Path, target: str, system: str | None, plan: bool
) -> LintReport:
    """Of every package in a build, for its oldest system and later, or of one package."""
    wanted = read_target(target, system)
    if build is not None and system is None:
        wanted = wanted._replace(oldest=oldest_of(build.minimum_os))
    if artifact.suffix in CoreML.packages:
        return lint_package(artifact, wanted, plan=plan)
    return lint_folder(artifact, wanted, plan=plan)


@hookimpl
def optimize(
    recipe: Recipe, build: Build, converted: Path, workdir: Path, progress: Progress
) -> Path:
    passes = read_passes(recipe, build)
    if (converted / SPEC_FILE).is_file():
        return compress_decoder(recipe, build, passes, converted, workdir, progress)
    return compress_folder(passes, converted, workdir, progress, f"'{recipe.ref}'")
