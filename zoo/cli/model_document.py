"""Everything known about a model, as one document: what `zoo show --json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zoo.catalogs import estimates
from zoo.catalogs.formats import target_of
from zoo.catalogs.languages import language_name
from zoo.catalogs.licenses import license_of
from zoo.cli import facts
from zoo.pipeline.choice import choose

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe
    from zoo.catalogs.source import Source
    from zoo.store.store import Artifact

HUB = "https://huggingface.co"


def describe(
    recipe: Recipe,
    asked_for: str | None,
    stored: dict[str, Artifact],
    failed: Mapping[str, Artifact] = MappingProxyType({}),
) -> dict[str, Any]:
    """The document of a model.

    Args:
        recipe: with what `zoo.lock` knows of its source.
        asked_for: the build that is looked at closely, if any.
        stored: by build, the finished builds in the store.
        failed: by build, those that failed their check.
    """
    default = choose(recipe, None, None)[0]
    return {
        "ref": recipe.ref,
        "title": recipe.title,
        "summary": recipe.summary,
        "task": recipe.task,
        "family": recipe.family,
        "license": recipe.license,
        "terms": _terms(recipe),
        "gated": recipe.gated,
        "chat": recipe.chat,
        "languages": list(recipe.languages),
        "language_names": [language_name(code) for code in recipe.languages],
        "tags": list(recipe.tags),
        "parameters": recipe.parameters,
        "dtypes": recipe.dtypes or None,
        "context": recipe.context,
        "url": _url(recipe.source),
        "source": {
            **_source(recipe.source),
            "bytes": estimates.download_bytes(recipe),
            "exact": estimates.download_is_exact(recipe),
        },
        "tokenizer": _source(recipe.tokenizer) if recipe.tokenizer else None,
        "adapters": {name: _source(source) for name, source in recipe.adapter.items()},
        "refused": {name: error.message for name, error in recipe.refused.items()},
        "builds": [
            _build(recipe, name, default, asked_for, stored.get(name), failed.get(name))
            for name in recipe.build
        ],
        "check": asdict(recipe.check) if recipe.check else None,
        "metrics": _metrics(recipe, {**failed, **stored}),
        "run": f"zoo run {recipe.ref}",
        "commands": _commands(recipe),
    }


def _terms(recipe: Recipe) -> dict[str, Any]:
    license = license_of(recipe.license)
    return {
        "name": license.name,
        "commercial": license.commercial,
        "answer": license.answer,
        "words": license.words,
        "url": license.url or None,
    }


def _url(source: Source) -> str | None:
    if source.repo is None:
        return source.url
    at = f"/tree/{source.revision}" if source.revision else ""
    return f"{HUB}/{source.repo}{at}"


def _source(source: Source) -> dict[str, Any]:
    return {
        "repo": source.repo,
        "folder": source.folder,
        "url": source.url,
        "revision": source.revision,
        "branch": source.branch,
        "pinned": source.pinned,
        "files": [asdict(file) for file in source.files],
    }


def _build(
    recipe: Recipe,
    name: str,
    default: str,
    asked_for: str | None,
    stored: Artifact | None,
    failed: Artifact | None,
) -> dict[str, Any]:
    from zoo.cli import compression

    build = recipe.build[name]
    manifest = stored.manifest if stored else None
    checked = stored or failed
    check = checked.manifest.check if checked else None
    return {
        "name": name,
        "format": build.format,
        "optimize": [asdict(step) for step in build.optimize],
        "minimum_os": build.minimum_os,
        "target": target_of(recipe, build),
        "bits_per_weight": estimates.bits_per_weight(build),
        "bytes": estimates.build_bytes(recipe, build),
        "stored_bytes": manifest.size if manifest else None,
        "memory_bytes": estimates.memory_bytes(recipe, build),
        "fits": facts.fits(recipe, name),
        "default": name == default,
        "installed": manifest is not None,
        "made": manifest.created if manifest else None,
        "limits": recipe.limits_of(build),
        "check": check,
        "lint": (check or {}).get("lint") or None,
        "words": facts.optimizations(build),
        "offered_by": build.offered_by or None,
        "compression": compression.read(stored) if stored and name == asked_for else None,
    }


def _metrics(recipe: Recipe, stored: dict[str, Artifact]) -> dict[str, dict[str, Any]]:
    """What each figure means that a check of this model limits or has measured."""
    from zoo.errors import PluginError
    from zoo.tasks.registry import task_of

    try:
        task = task_of(recipe.task)
    except PluginError:
        return {}
    names = [name for build in recipe.build.values() for name in recipe.limits_of(build)]
    names += list(recipe.check.recorded) if recipe.check else []
    for artifact in stored.values():
        names += (artifact.manifest.check or {}).get("metrics", {})
    found = {}
    for name in dict.fromkeys(name.rpartition(":")[2] for name in names):
        if metric := task.metric(name):
            found[name] = {"meaning": metric.meaning, "better": metric.better}
    return found


def _commands(recipe: Recipe) -> dict[str, str | None]:
    """What a person types to use the model, in the shell, in Python and in Swift."""
    from zoo.errors import PluginError
    from zoo.site.commands import commands
    from zoo.tasks.registry import task_of

    try:
        made = commands(recipe.ref, recipe, task_of(recipe.task))
    except PluginError:
        return {"shell": f"zoo run {recipe.ref} INPUT", "python": None, "swift": None}
    return {"shell": made.shell, "python": made.python, "swift": made.swift or None}
