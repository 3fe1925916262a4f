"""`zoo show`: everything known about a model before anything is fetched.

JSON: {ref, title, summary, task, family, license, gated, chat, parameters, dtypes,
context,
source: {repo, folder, revision, branch, pinned, bytes, files: [{path, size, sha256}]},
tokenizer: the same without bytes, or null when the source brings it,
adapters: {name: the same without bytes},
builds: [{name, format, optimize: [{kind, options}], minimum_os, target, bits_per_weight, bytes,
memory_bytes, fits, default, installed, check, lint, words, offered_by, compression}],
refused: {build: message},
check: {inputs, limits, recorded} or null, run}.
`dtypes` is null but for a folder or repository of one's own: {type: elements}, from its headers.
`offered_by` is the plugin that adds a build to the recipe, or the user's builds.toml; null for the
recipe's own. `refused` has builds that are offered and cannot be used.
`bytes` of a source is an estimate while a file's size is null. `compression` is null but for the
build that is asked for, `NAME/BUILD`, once it is installed: {bits_per_weight, entries: {weight:
{shape, scheme, bits}}, skipped: {weight: reason}, figures, layers: {weight: bits}}. `target` is
what the build is linted for, or null. `lint` is null but for an installed build with a lint:
{target, system, findings: [{id, title, effect, count}], accepted: {id: reason}, failed: [id]}.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from zoo import api
from zoo.catalogs import estimates
from zoo.catalogs.names import REFERENCE
from zoo.catalogs.recipe import Recipe, Source
from zoo.catalogs.reference import Reference
from zoo.cli import compression, facts, options, output
from zoo.cli.output import Column
from zoo.pipeline.choice import choose
from zoo.pipeline.linting import target_of
from zoo.store.store import Artifact
from zoo.words import human

FILES = (Column("FILE"), Column("SIZE", right=True), Column("SHA256", drop=1))
BUILDS = (
    Column("BUILD"),
    Column("FORMAT", drop=1),
    Column("OPTIMIZATIONS", drop=4),
    Column("BITS", right=True, drop=2),
    Column("SIZE", right=True),
    Column("MEMORY", right=True),
    Column("FITS"),
    Column("INSTALLED"),
    Column("CHECK", drop=3),
    Column("LINT", drop=6),
    Column("NOTES", drop=5),
)


FOR = {
    "gpu": "for GPU and CPU",
    "mac-gpu": "for a Mac's GPU",
    "iphone-neural-engine": "for the Neural Engine",
}
"""What a build is for, by the target of its lint."""

LINT = (
    Column("RULE"),
    Column("EFFECT"),
    Column("PLACES", right=True),
    Column("LINT FOUND"),
    Column("ACCEPTED BECAUSE", drop=1),
)


@click.command(name="show")
@click.argument("name")
@options.family
@options.as_json
def command(name: str, family: str | None, as_json: bool) -> None:
    """Everything known about a model before it is downloaded."""
    recipe = api.show(name, family=family)
    stored = api.installed(name, facts.stored_builds().get(recipe.ref, {}), family)
    asked_for = _asked_for(name, recipe)
    data = _described(recipe, asked_for, stored)
    if as_json:
        output.document(data)
    else:
        _print(data, asked_for)


def _asked_for(name: str, recipe: Recipe) -> str | None:
    """The build of `name:variant/build`; refuse one that there is not."""
    if Reference.parse(name).kind != "catalog":
        return None
    match = REFERENCE.fullmatch(name)
    if not match or not match["build"]:
        return None
    recipe.pick(match["build"])
    return match["build"]


def _described(
    recipe: Recipe, asked_for: str | None, stored: dict[str, Artifact]
) -> dict[str, Any]:
    default = choose(recipe, None, None)[0]
    builds = [_build(recipe, name, default, stored.get(name)) for name in recipe.build]
    for build in builds:
        of_it = stored.get(build["name"]) if build["name"] == asked_for else None
        build["compression"] = compression.read(of_it) if of_it else None
    return {
        "ref": recipe.ref,
        "title": recipe.title,
        "summary": recipe.summary,
        "task": recipe.task,
        "family": recipe.family,
        "license": recipe.license,
        "gated": recipe.gated,
        "chat": recipe.chat,
        "parameters": recipe.parameters,
        "dtypes": recipe.dtypes or None,
        "context": recipe.context,
        "source": {**_source(recipe.source), "bytes": estimates.download_bytes(recipe)},
        "tokenizer": _source(recipe.tokenizer) if recipe.tokenizer else None,
        "adapters": {name: _source(source) for name, source in recipe.adapter.items()},
        "builds": builds,
        "refused": {name: error.message for name, error in recipe.refused.items()},
        "check": asdict(recipe.check) if recipe.check else None,
        "run": f"zoo run {recipe.ref}",
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        "repo": source.repo,
        "folder": source.folder,
        "revision": source.revision,
        "branch": source.branch,
        "pinned": source.pinned,
        "files": [asdict(file) for file in source.files],
    }


def _build(recipe: Recipe, name: str, default: str, stored: Artifact | None) -> dict[str, Any]:
    build = recipe.build[name]
    return {
        "name": name,
        "format": build.format,
        "optimize": [asdict(step) for step in build.optimize],
        "minimum_os": build.minimum_os,
        "target": target_of(recipe, build),
        "bits_per_weight": estimates.bits_per_weight(build),
        "bytes": estimates.build_bytes(recipe, build),
        "memory_bytes": estimates.memory_bytes(recipe, build),
        "fits": facts.fits(recipe, name),
        "default": name == default,
        "installed": stored is not None,
        "check": stored.manifest.check if stored else None,
        "lint": ((stored.manifest.check or {}).get("lint") or None) if stored else None,
        "words": facts.optimizations(build),
        "offered_by": build.offered_by or None,
    }


def _print(data: dict[str, Any], asked_for: str | None) -> None:
    source, check = data["source"], data["check"]
    output.tell(f"{output.clean(data['title'])} ({data['ref']})")
    output.tell(output.clean(data["summary"]))
    output.tell()
    output.facts(
        [
            ("task", data["task"]),
            ("family", data["family"]),
            ("license", data["license"] + _gate(data)),
            ("parameters", facts.count(data["parameters"]) + _types(data["dtypes"])),
            ("context", f"{data['context']} tokens" if data["context"] else None),
            ("source", _origin(source)),
            ("tokenizer", _origin(data["tokenizer"]) if data["tokenizer"] else None),
            *((f"adapter {name}", _origin(a)) for name, a in data["adapters"].items()),
            ("size", human(source["bytes"])),
        ]
    )
    if files := source["files"] + (data["tokenizer"] or {}).get("files", []):
        output.tell()
        output.table(FILES, map(_file_row, files))
    output.tell()
    output.table(BUILDS, map(_build_row, data["builds"]))
    for message in data["refused"].values():
        output.warn(f"warning: {output.one_line(message)}")
    for build in data["builds"]:
        if build["compression"]:
            compression.show(build["compression"])
        if build["lint"] and build["name"] == asked_for:
            _print_lint(build["lint"])
    if check:
        output.tell()
        output.facts(
            [
                ("checked on", ", ".join(check["inputs"])),
                ("limits", facts.limits(check["limits"], data["task"])),
                ("recorded", ", ".join(f"{k} {v:g}" for k, v in check["recorded"].items())),
            ]
        )
    output.tell()
    output.tell(f"run it: {data['run']}")


def _print_lint(lint: dict[str, Any]) -> None:
    """What the lint of one build found, with the reasons for what was accepted."""
    output.tell()
    accepted = lint.get("accepted", {})
    if lint.get("findings"):
        rows = [
            (f["id"], f["effect"], f["count"], f["title"], accepted.get(f["id"], "-"))
            for f in lint["findings"]
        ]
        output.table(LINT, rows)
    else:
        output.tell("no known fault")
    output.tell(f"linted for {output.clean(str(lint.get('target')))}")


def _types(dtypes: dict[str, int] | None) -> str:
    """The types that weights are stored in, the most frequent first."""
    names = sorted(dtypes or {}, key=lambda name: -(dtypes or {})[name])
    return f" ({', '.join(names)})" if names else ""


def _gate(data: dict[str, Any]) -> str:
    if not data["gated"]:
        return ""
    repo = data["source"]["repo"]
    return f" (gated: accept it at https://huggingface.co/{repo})" if repo else " (gated)"


def _origin(source: dict[str, Any]) -> str:
    if source["folder"] is not None:
        return f"folder {source['folder']}" + (" (pinned)" if source["pinned"] else "")
    if source["revision"] is None:
        return f"{source['repo']}@{source['branch']} (UNPINNED until the first pull)"
    how = "pinned" if source["branch"] is None else f"{source['branch']}, locked by the first pull"
    return f"{source['repo']}@{source['revision']} ({how})"


def _file_row(file: dict[str, Any]) -> tuple[object, ...]:
    size = None if file["size"] is None else human(file["size"])
    return file["path"], size, file["sha256"]


def _build_row(build: dict[str, Any]) -> tuple[object, ...]:
    notes = ["default here"] if build["default"] else []
    notes += [FOR[build["target"]]] if build["target"] in FOR else []
    notes += [f"{build['minimum_os']} or later"] if build["minimum_os"] else []
    notes += [f"by {build['offered_by']}"] if build["offered_by"] else []
    return (
        build["name"],
        build["format"],
        build["words"] or "-",
        f"{build['bits_per_weight']:.4g}",
        human(build["bytes"]),
        human(build["memory_bytes"]),
        build["fits"],
        build["installed"],
        (build["check"] or {}).get("status", "-"),
        facts.lint(build["check"]),
        ", ".join(notes),
    )
