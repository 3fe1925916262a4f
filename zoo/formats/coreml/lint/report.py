"""Lint a package: which rules match where, and where its operations are predicted to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from zoo.errors import InputError, NotFound
from zoo.formats.coreml.execute import plan as plans
from zoo.formats.coreml.lint import package as packages
from zoo.formats.coreml.lint.graph import Function, Graph, read_graph
from zoo.formats.coreml.lint.placement import layers_of, place
from zoo.formats.coreml.lint.rule import Rule, Target
from zoo.formats.coreml.lint.rules import RULES
from zoo.formats.coreml.package.reader import Package
from zoo.reports.findings import EFFECTS, Finding, LintReport, Place, Placement


def lint_package(
    path: Path, target: Target, *, rules: Iterable[Rule] = RULES, plan: bool = False
) -> LintReport:
    """Lint one package; its weights are not read.

    Args:
        path: a `.mlpackage`, or a compiled `.mlmodelc`.
        target: where it is to run.
        rules: which rules to try.
        plan: whether to put Core ML's own plan beside the prediction.

    Raises:
        UsageError: the plan is asked for, and this is no Mac.
        NotFound: there is nothing at `path`.
        InputError: it is no package, or holds no ML program.
        IntegrityError: it is damaged.
    """
    if path.suffix == ".mlmodelc" and path.is_dir():
        return _special(path, target, packages.COMPILED, packages.compiled_matches(path))
    spec = packages.read_spec(path)
    kind = spec.WhichOneof("Type")
    if kind == "pipeline":
        return _special(path, target, packages.PIPELINE, packages.pipeline_matches(spec))
    if kind != "mlProgram":
        raise InputError(
            f"{path} holds a model of the kind '{kind}', not an ML program",
            'convert it with coremltools for iOS 15 or later: convert_to="mlprogram"',
        )
    graph = read_graph(Package(path))
    findings = _findings(graph, path.stem, target, rules)
    planned = plans.planned_units(path, _units(target)) if plan else {}
    placed = (_placement(path.stem, f, graph, planned.get(f.name, {})) for f in graph.functions)
    return LintReport(target.name, target.system, tuple(findings), tuple(placed))


def lint_folder(folder: Path, target: Target, *, plan: bool = False) -> LintReport:
    """Lint every package in a build's folder.

    Raises:
        NotFound: it holds no package.
    """
    found = sorted(folder.rglob("*.mlpackage"))
    if not found:
        raise NotFound(f"there is no Core ML package in {folder}")
    reports = [lint_package(path, target, plan=plan) for path in found]
    return LintReport(
        target.name,
        target.system,
        tuple(_sorted(f for report in reports for f in report.findings)),
        tuple(p for report in reports for p in report.placements),
    )


def _placement(
    package: str, function: Function, graph: Graph, planned: Mapping[str, str]
) -> Placement:
    """Prediction and plan of one function, both by the names of operations."""
    return Placement(
        package,
        function.name,
        place(function, graph),
        layers_of(function),
        {op.name: op.kind for op in function.computing},
        {
            op.name: planned[output.name]
            for op in function.computing
            for output in op.outputs[:1]  # a state that is written has none
            if output.name in planned
        },
    )


def _units(target: Target) -> str:
    """The member of `coremltools.ComputeUnit` for the units of a target."""
    if "gpu" not in target.units:
        return "CPU_AND_NE"
    return "ALL" if "ane" in target.units else "CPU_AND_GPU"


def _findings(graph: Graph, name: str, target: Target, rules: Iterable[Rule]) -> list[Finding]:
    found = []
    layers = {function.name: layers_of(function) for function in graph.functions}
    for rule in rules:
        if not rule.holds_for(target):
            continue
        for function in graph.functions:
            of = layers[function.name]
            matched = dict.fromkeys(rule.match(function, graph, target))
            matches = tuple(replace(match, layer=of.get(match.op, "")) for match in matched)
            if matches:
                found.append(_finding(rule, name, function.name, matches))
    return _sorted(found)


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: EFFECTS.index(f.effect))


def _special(path: Path, target: Target, rule: Rule, matches: list[Place]) -> LintReport:
    found: tuple[Finding, ...] = ()
    if matches and rule.holds_for(target):
        found = (_finding(rule, path.stem, "main", tuple(matches)),)
    return LintReport(target.name, target.system, found)


def _finding(rule: Rule, package: str, function: str, places: tuple[Place, ...]) -> Finding:
    return Finding(
        id=rule.id,
        title=rule.title,
        effect=rule.effect,
        outcome=rule.outcome,
        remedy=rule.remedy,
        source=rule.source,
        trust=rule.trust,
        package=package,
        function=function,
        places=places,
    )
