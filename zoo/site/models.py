"""What the pages say of a model: its recipe, its builds, and what was measured of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from zoo.catalogs import estimates
from zoo.catalogs.formats import format_of
from zoo.catalogs.languages import language_name
from zoo.catalogs.layers import SHIPPED
from zoo.catalogs.licenses import License, license_of
from zoo.catalogs.listing import Listing
from zoo.catalogs.recipe import Build, Recipe
from zoo.catalogs.search import text_of
from zoo.catalogs.source import Source
from zoo.errors import PluginError
from zoo.pipeline.installed import installed
from zoo.site.commands import Commands, commands
from zoo.site.examples import Example, examples
from zoo.store.artifacts import Artifact
from zoo.store.reports import COST, Reports
from zoo.tasks.registry import task_of
from zoo.tasks.task import Task

NUMBERED = re.compile(r"([a-z])(\d)", re.IGNORECASE)
"""Where a system's name ends in one word with its version, as in `iOS18`."""

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Value:
    """What was measured, and whether it keeps its limit."""

    number: float
    kept: bool


@dataclass(frozen=True)
class Figure:
    """A figure of a check: what it means, its limit, and its value by adapter.

    The value without an adapter has the empty name.
    """

    name: str
    meaning: str
    limit: str
    values: dict[str, Value]
    quality: bool = False

    @property
    def value(self) -> float:
        """What was measured without an adapter."""
        return self.values[""].number


@dataclass(frozen=True)
class BuildView:
    """A build of a model. Its size is measured where `artifact` is given, else estimated.

    `earlier` is an artifact that what is installed now would make again.
    """

    name: str
    format: str
    passes: str
    bits: float
    bytes: int
    memory: int
    minimum_os: str
    default: bool
    limits: str
    artifact: Artifact | None = None
    earlier: bool = False
    status: str = ""
    reason: str = ""
    tools: str = ""
    figures: tuple[Figure, ...] = ()
    examples: tuple[Example, ...] = ()
    cost: dict[str, Any] | None = None

    @property
    def quality(self) -> Figure | None:
        """The figure of the check that says most about quality."""
        return next((f for f in self.figures if f.quality), None)


@dataclass(frozen=True)
class ModelView:
    """A model of a catalog."""

    ref: str
    page: str
    recipe: Recipe
    default_name: str
    task: str
    icon: str
    license: License
    download: int
    estimated: bool
    memory: int
    builds: tuple[BuildView, ...]
    source_url: str
    commands: Commands
    formats: str
    languages: tuple[str, ...]
    words: str
    """What search finds beside the words on the card."""

    @property
    def checked(self) -> list[BuildView]:
        """The builds that a check has figures of."""
        return [build for build in self.builds if build.figures]


ICONS = {"text-generation": "text", "automatic-speech-recognition": "speech"}
ICONS |= {"text-to-image": "image"}


def model_view(
    listing: Listing, recipe: Recipe, stored: dict[str, Artifact], reports: Reports
) -> ModelView:
    """What the pages say of a model.

    Args:
        listing: the model's line of the catalog.
        recipe: its recipe, which takes time to read.
        stored: its finished builds in the store, by key.
        reports: what was measured of them.
    """
    task = _task(recipe.task)
    newest = sorted(stored.values(), key=lambda artifact: artifact.manifest.created)
    current = installed(recipe, stored)
    done = {artifact.manifest.build: artifact for artifact in newest} | current
    builds = tuple(
        _build(recipe, name, task, done.get(name), name in current, reports)
        for name in recipe.build
    )
    return ModelView(
        ref=listing.ref,
        page=page_of(listing.ref),
        recipe=recipe,
        default_name=listing.ref.partition(":")[0] if listing.default else "",
        task=task.title or recipe.task,
        icon=ICONS.get(recipe.task, "other"),
        license=license_of(recipe.license),
        download=estimates.download_bytes(recipe),
        estimated=recipe.source.size is None,
        memory=min(build.memory for build in builds),
        builds=builds,
        source_url=url_of(recipe.source),
        commands=commands(listing.ref, recipe, task),
        formats=" ".join(recipe.formats),
        languages=tuple(map(language_name, recipe.languages)),
        words=_words(listing, recipe, task),
    )


def _words(listing: Listing, recipe: Recipe, task: Task) -> str:
    """What `zoo list` finds a model by, without the words on its card."""
    shown = f"{listing.ref} {recipe.title} {recipe.summary} {task.title}".lower().split()
    return " ".join(dict.fromkeys(w for w in text_of(listing).split() if w not in shown))


def page_of(ref: str) -> str:
    """The path of a model's page; no two references have the same."""
    name, _, variant = ref.partition(":")
    catalog, slash, model = name.rpartition("/")
    return f"models/{catalog if slash else SHIPPED}/{model}/{variant}.html"


def url_of(source: Source) -> str:
    """Where people read about a source on the Hub; empty for a folder."""
    if source.repo is None:
        return ""
    return f"{HUB}/{source.repo}" + (f"/tree/{source.revision}" if source.revision else "")


def _task(name: str) -> Task:
    try:
        return task_of(name)
    except PluginError:
        made = Task()
        made.title = name
        return made


def _build(
    recipe: Recipe,
    name: str,
    task: Task,
    artifact: Artifact | None,
    current: bool,
    reports: Reports,
) -> BuildView:
    build = recipe.build[name]
    first = next(n for n, other in recipe.build.items() if other.format == build.format)
    found = artifact.manifest.check or {} if artifact else {}
    linked = artifact is None or not artifact.manifest.size or format_of(build.format).links_source
    size = estimates.build_bytes(recipe, build)
    key = artifact.manifest.key if artifact else ""
    return BuildView(
        name=name,
        format=build.format,
        passes=_passes(build),
        bits=estimates.bits_per_weight(build),
        bytes=size if linked or artifact is None else artifact.manifest.size,
        memory=estimates.memory_bytes(recipe, build),
        minimum_os=NUMBERED.sub(r"\1 \2", build.minimum_os or ""),
        default=name == first,
        limits=_limits(recipe, build, task),
        artifact=artifact,
        earlier=artifact is not None and not current,
        status=str(found.get("status", "")),
        reason=str(found.get("reason", "")),
        tools=", ".join(f"{k} {v}" for k, v in (found.get("tools") or {}).items() if v),
        figures=tuple(_figures(found, task)),
        examples=examples(reports, key) if key else (),
        cost=reports.read(key, COST) if key else None,
    )


def _figures(check: dict[str, Any], task: Task) -> list[Figure]:
    """The figures of a check, that of quality first."""
    measured: dict[str, dict[str, float]] = {}
    for name, value in (check.get("metrics") or {}).items():
        adapter, _, figure = name.rpartition(":")
        if isinstance(value, int | float):
            measured.setdefault(figure, {})[adapter] = float(value)
    limits = check.get("limits") or {}
    order = {name: place for place, name in enumerate(task.metrics)}
    names = sorted(
        (name for name, values in measured.items() if "" in values),
        key=lambda name: (task.better(name) is None, order.get(name, len(order))),
    )
    return [
        Figure(
            name,
            metric.meaning if (metric := task.metric(name)) else "",
            f"{task.better(name) or ''} {limits[name]:g}".strip() if name in limits else "",
            {
                adapter: Value(value, name not in limits or task.holds(name, value, limits[name]))
                for adapter, value in measured[name].items()
            },
            quality=name == names[0] and task.better(name) is not None,
        )
        for name in names
    ]


def _limits(recipe: Recipe, build: Build, task: Task) -> str:
    limits = {**(recipe.check.limits if recipe.check else {}), **build.limits}
    return ", ".join(
        f"{name} {task.better(name) or ''} {value:g}" for name, value in limits.items()
    )


def _passes(build: Build) -> str:
    """The passes of a build in words: `quantize to 4 bits in groups of 64`."""
    said = []
    for step in build.optimize:
        options = step.options
        words = step.kind
        if "bits" in options:
            words += f" to {options['bits']} bits"
        if "mix" in options:
            words += f" by {options['mix']}"
        for name in ("group_size", "block_size"):
            if name in options:
                words += f" in {'groups' if name == 'group_size' else 'blocks'} of {options[name]}"
        said.append(words)
    return ", ".join(said)
