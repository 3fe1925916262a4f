"""What browsing says of a recipe, without the recipe: small enough to keep thousands of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe


class BuildFacts(NamedTuple):
    """A build, by estimate.

    Attributes:
        name, format: what it is called, and what it is stored as and run by.
        bits: bits of each weight on disk, with scales and tables.
        bytes: bytes on disk.
        memory_bytes: bytes of memory to run it.
        minimum_os: the oldest system that runs it, such as `iOS18`; empty when any does.
        passes: the kinds of its passes, what its options name, and what it is made for, such as
            `iphone-neural-engine`.
        offered_by: who adds it to the recipe; empty for the recipe's own.
    """

    name: str
    format: str
    bits: float
    bytes: int
    memory_bytes: int
    minimum_os: str
    passes: str
    offered_by: str


NAME, FORMAT, MEMORY, OFFERED = map(
    BuildFacts._fields.index, ("name", "format", "memory_bytes", "offered_by")
)


class Facts(NamedTuple):
    """A model, before anything is fetched.

    Attributes:
        label, synonyms: what the task is called in a table, and other words for it.
        gated: whether the source is gated.
        pinned: whether the recipe alone decides every byte of the source.
        parameters: number of weights.
        context: longest input in tokens; 0 when the recipe does not say.
        languages: ISO 639 codes of the languages that it takes or speaks.
        tags: words that a search finds it by.
        repo: the repository of the source, empty when it is a folder.
        download_bytes: bytes to fetch.
        download_exact: whether every file's size is known; else `download_bytes` is an estimate.
        raw_builds: the values of `builds`, which are made when they are asked for.
    """

    title: str
    summary: str
    task: str
    label: str
    synonyms: Sequence[str]
    family: str
    license: str
    gated: bool
    pinned: bool
    parameters: int
    context: int
    languages: Sequence[str]
    tags: Sequence[str]
    repo: str
    adapters: Sequence[str]
    download_bytes: int
    download_exact: bool
    raw_builds: Sequence[Sequence[Any]]

    @property
    def builds(self) -> tuple[BuildFacts, ...]:
        """The builds, in the order of the recipe."""
        return tuple(map(BuildFacts._make, self.raw_builds))

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that the builds are in, each once, in order."""
        return tuple(dict.fromkeys(build[FORMAT] for build in self.raw_builds))

    def build(self, name: str) -> BuildFacts:
        """The build of that name."""
        for build in self.raw_builds:
            if build[NAME] == name:
                return BuildFacts._make(build)
        raise KeyError(name)


def facts_of(recipe: Recipe) -> Facts:
    """The facts of a recipe, with the estimates of its formats."""
    from zoo.catalogs import estimates

    return Facts(
        recipe.title,
        recipe.summary,
        recipe.task,
        *_task_words(recipe.task),
        recipe.family,
        recipe.license,
        recipe.gated,
        recipe.source.pinned,
        recipe.parameters,
        recipe.context or 0,
        recipe.languages,
        recipe.tags,
        recipe.source.repo or "",
        tuple(recipe.adapter),
        estimates.download_bytes(recipe),
        estimates.download_is_exact(recipe),
        tuple(
            BuildFacts(
                name,
                build.format,
                float(estimates.bits_per_weight(build)),
                int(estimates.build_bytes(recipe, build)),
                int(estimates.memory_bytes(recipe, build)),
                build.minimum_os or "",
                _passes(recipe, build),
                build.offered_by,
            )
            for name, build in recipe.build.items()
        ),
    )


def _task_words(name: str) -> tuple[str, tuple[str, ...]]:
    """What a task is called, as far as the plugin that describes it can be used."""
    from zoo.tasks.registry import task_of

    try:
        task = task_of(name)
        label, synonyms = str(task.label or name), tuple(map(str, task.synonyms))
    except Exception:  # a stranger's description fails where its models are used
        return name, ()
    return label, synonyms


def _passes(recipe: Recipe, build: Build) -> str:
    from zoo.catalogs.formats import format_of

    options = [build.options, *(step.options for step in build.optimize)]
    named = [v for each in options for v in each.values() if isinstance(v, str)]
    try:
        target = str(build.lint.target or format_of(build.format).lint_target(recipe, build) or "")
    except Exception:  # a stranger's description fails for its own builds alone
        target = ""
    words = [*(step.kind for step in build.optimize), *named, target]
    return " ".join(dict.fromkeys(words)).strip()
