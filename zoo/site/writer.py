"""The whole site: what its files hold, and writing them into a folder."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zoo import api
from zoo.catalogs.catalog import Catalog
from zoo.catalogs.search import SYNONYMS
from zoo.errors import InputError, IntegrityError, UsageError, ZooError
from zoo.files.safe_folder import SafeFolder, read_regular
from zoo.files.system import explain
from zoo.site import charts
from zoo.site.examples import Example
from zoo.site.models import BuildView, ModelView, model_view
from zoo.site.pages import ASSETS, asset, filled
from zoo.store.artifacts import Artifact
from zoo.store.reports import Reports

PARTS = ("assets", "models", "outputs", "catalog.json", "index.html")
"""What is in the folder of a site, and replaced when it is written again."""

MARK = ".zoo-site"
INDEX = "index.html"
AUDIO = (".wav", ".flac", ".mp3", ".m4a", ".ogg")
LARGEST_AUDIO = 20_000_000
MOST_LAYERS = 24


@dataclass(frozen=True)
class Site:
    """A site that can be written: paths to their bytes."""

    models: list[ModelView]
    files: dict[str, bytes]
    problems: list[tuple[str, str]] = field(default_factory=list)


def site(catalog: Catalog, stored: dict[str, dict[str, Artifact]]) -> Site:
    """The site of a catalog.

    Args:
        catalog: its models, each with a page.
        stored: finished builds in the store, by reference and key, whose figures are shown.
    """
    reports = Reports(api.store().home)
    models, problems = [], [(name, error.message) for name, error in catalog.problems.items()]
    for listing in catalog:
        try:
            recipe = listing.recipe
            if recipe is None:
                problems.append((listing.ref, listing.problem))
            else:
                models.append(model_view(listing, recipe, stored.get(listing.ref, {}), reports))
        except ZooError as error:
            problems.append((listing.ref, error.message))
    common = {"version": version("zoo-ml"), "date": time.strftime("%Y-%m-%d", time.gmtime())}
    files: dict[str, bytes] = {f"assets/{name}": asset(name).encode() for name in ASSETS}
    files["catalog.json"] = json.dumps(
        {"schema": 1, **common, "models": [_described(model) for model in models]},
        indent=1,
    ).encode()
    files[INDEX] = filled(
        "index.html",
        root="",
        models=models,
        problems=problems,
        synonyms=json.dumps(SYNONYMS, separators=(",", ":")),
        tasks=list(dict.fromkeys(model.task for model in models)),
        formats=sorted({name for model in models for name in model.recipe.formats}),
        **common,
    ).encode()
    for model in models:
        outputs = _outputs(model, reports, files)
        page = filled("model.html", **_page(model), outputs=outputs, **common)
        files[model.page] = page.encode()
    return Site(models, files, problems)


def write(site: Site, folder: Path) -> None:
    """Write a site into a new or empty folder, or over one that was written before.

    Raises:
        UsageError: the folder holds something else.
        InputError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        below = SafeFolder(folder)
        if below.names() and not below.is_file(MARK):
            raise UsageError(
                f"{folder} is not empty, and zoo did not write what is in it",
                "give a new folder, or one that zoo site wrote before",
            )
        below.replace(MARK, b"Written by zoo site, which replaces it.\n")
        for part in PARTS:
            below.remove(part)
        for path, data in site.files.items():
            below.replace(path, data)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {explain(error).message}") from error


def _page(model: ModelView) -> dict[str, Any]:
    """What the template of a model's page is filled with."""
    points, measured = [], None
    for build in model.builds:
        if (figure := build.quality) is not None and abs(figure.value) < float("inf"):
            measured = measured or figure
            if figure.name == measured.name:
                points.append(charts.Point(build.name, build.bytes, figure.value, build.format))
    said = "; ".join(f"{point.label}: {point.y:.4g}" for point in points)
    return {
        "root": "../" * model.page.count("/"),
        "m": model,
        "largest": max(build.bytes for build in model.builds) or 1,
        "chart": charts.scatter(points) if len(points) > 1 else None,
        "chart_title": measured.name if measured else "",
        "chart_meaning": measured.meaning if measured else "",
        "chart_label": f"{measured.name} by size of the build. {said}" if measured else "",
        "costs": [
            (build, rows, str((build.cost or {}).get("case", "")))
            for build in model.builds
            if (rows := _layers(build))
        ],
    }


def _layers(build: BuildView) -> list[dict[str, Any]]:
    """The layers of a build's cost, the heaviest first; the lightest in one row."""
    listed = (build.cost or {}).get("layers")
    rows = []
    for row in listed if isinstance(listed, list) else ():
        weights, flops = row.get("weight_bytes"), row.get("flops")
        if isinstance(weights, int) and isinstance(flops, int):
            rows.append((str(row.get("name")), weights, flops))
    rows.sort(key=lambda row: (-row[1], -row[2]))
    shown, rest = rows[:MOST_LAYERS], rows[MOST_LAYERS:]
    if rest:
        shown.append((f"{len(rest)} others", sum(r[1] for r in rest), sum(r[2] for r in rest)))
    most = max((weights for _, weights, _ in shown), default=0) or 1
    return [
        {"name": name, "weight_bytes": weights, "flops": flops, "share": weights / most}
        for name, weights, flops in shown
    ]


def _outputs(model: ModelView, reports: Reports, files: dict[str, bytes]) -> list[dict[str, Any]]:
    """By input and adapter, what the original and each build made of it.

    The pictures and the audio that they show are put into `files`.
    """
    base = model.page.removeprefix("models/").removesuffix(".html")
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for build in model.builds:
        for example in build.examples:
            group = groups.setdefault(
                (example.adapter, example.input),
                {
                    "input": example.input,
                    "adapter": example.adapter,
                    "audio": _audio(model, example, base, files),
                    "made": [],
                },
            )
            path = f"{base}/{build.name}"
            if not group["made"] and (example.expected or example.expected_image):
                original = _picture(build, example.expected_image, reports, path, files)
                group["made"].append({"by": "original", "text": example.expected, **original})
            shown = _picture(build, example.image, reports, path, files)
            group["made"].append({"by": build.name, "text": example.output, **shown})
    return list(groups.values())


def _picture(
    build: BuildView, name: str, reports: Reports, base: str, files: dict[str, bytes]
) -> dict[str, Any]:
    """A picture of a report, and its size; an empty path when there is none."""
    data = None
    if name and build.artifact is not None:
        data = reports.file(build.artifact.manifest.key, name)
    if data is None or not data.startswith(b"\x89PNG"):
        return {"image": ""}
    path = f"outputs/{base}/{Path(name).name}"
    files[path] = data
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    return {"image": path, "width": width, "height": height}


def _audio(model: ModelView, example: Example, base: str, files: dict[str, bytes]) -> str:
    """The path of the clip that was transcribed; empty when the recipe has none of that name."""
    check = model.recipe.check
    if check is None or example.input not in check.inputs:
        return ""
    if Path(example.input).suffix.lower() not in AUDIO:
        return ""
    path = f"outputs/{base}/{example.input}"
    if path not in files:
        try:
            files[path] = read_regular(model.recipe.home / example.input, LARGEST_AUDIO)
        except (OSError, ValueError, IntegrityError):
            return ""
    return path


def _described(model: ModelView) -> dict[str, Any]:
    """A model in `catalog.json`."""
    recipe = model.recipe
    return {
        "ref": model.ref,
        "page": model.page,
        "title": recipe.title,
        "summary": recipe.summary,
        "task": recipe.task,
        "family": recipe.family,
        "license": recipe.license,
        "commercial": model.license.commercial,
        "gated": recipe.gated,
        "pinned": recipe.source.pinned,
        "parameters": recipe.parameters,
        "download_bytes": model.download,
        "memory_bytes": model.memory,
        "repo": recipe.source.repo,
        "revision": recipe.source.revision,
        "builds": [
            {
                "name": build.name,
                "format": build.format,
                "bytes": build.bytes,
                "memory_bytes": build.memory,
                "bits_per_weight": build.bits,
                "minimum_os": build.minimum_os or None,
                "check": build.status or None,
                "figures": {figure.name: figure.value for figure in build.figures},
            }
            for build in model.builds
        ],
    }
