"""What the browsing verbs say about recipes and builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo import machine, words
from zoo.catalogs import estimates

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe
    from zoo.reports.costs import Operation
    from zoo.store.store import Artifact

ENOUGH = 1000
"""Weights below which padding and tables would hide what each of them takes."""

count = words.count
WORDS = {"bits": "{} bits", "group_size": "groups of {}"}


def stored_builds() -> dict[str, dict[str, Artifact]]:
    """Finished builds in the store, of whatever version: reference to key to artifact."""
    from zoo.cli.entries import published
    from zoo.store.store import Store

    found: dict[str, dict[str, Artifact]] = {}
    for entry in published(Store(machine.home())):
        if entry.artifact and entry.artifact.manifest.step == "build":
            manifest = entry.artifact.manifest
            found.setdefault(manifest.ref, {})[manifest.key] = entry.artifact
    return found


def failed_builds() -> dict[str, dict[str, Artifact]]:
    """Builds that failed their check: reference to key to artifact."""
    from zoo.cli.entries import everything
    from zoo.store.store import Store

    found: dict[str, dict[str, Artifact]] = {}
    for entry in everything(Store(machine.home())):
        if entry.failed and entry.artifact:
            manifest = entry.artifact.manifest
            found.setdefault(manifest.ref, {})[manifest.key] = entry.artifact
    return found


def smallest_memory(recipe: Recipe) -> int:
    """Bytes of memory that the least demanding build needs."""
    return min(estimates.memory_bytes(recipe, build) for build in recipe.build.values())


def fits(recipe: Recipe, build: str) -> bool:
    """Whether a build fits the memory of this machine."""
    return estimates.memory_bytes(recipe, recipe.build[build]) <= machine.memory()


def bits(operation: Operation) -> str:
    """Bits that each weight of an operation takes on disk, where there are enough to tell."""
    if operation.parameters < ENOUGH:
        return "-"
    return f"{8 * operation.weight_bytes / operation.parameters:.2f}"


def optimizations(build: Build) -> str:
    """The passes of a build in words: `quantize (4 bits, groups of 64)`."""
    said = []
    for step in build.optimize:
        options = [
            WORDS[k].format(v) if k in WORDS else f"{k} {v}" for k, v in step.options.items()
        ]
        said.append(f"{step.kind} ({', '.join(options)})" if options else step.kind)
    return ", ".join(said)


def lint(check: dict[str, Any] | None) -> str:
    """What the lint of a finished build found, by effect: `1 refused, 4 slow`."""
    found = (check or {}).get("lint")
    if not found:
        return "-"
    from zoo.reports.findings import EFFECTS

    effects = [
        finding["effect"]
        for finding in found.get("findings", ())
        if finding["id"] not in found.get("accepted", {})
    ]
    counts = [f"{effects.count(effect)} {effect}" for effect in EFFECTS if effect in effects]
    return ", ".join(counts) or "clean"


def limits(figures: dict[str, float], task: str) -> str:
    """Limits of a check in words: `top1 at least 0.97`."""
    from zoo.tasks.registry import task_of

    if not figures:
        return ""
    better = task_of(task).better
    return ", ".join(f"{name} {better(name) or ''} {value:g}" for name, value in figures.items())
