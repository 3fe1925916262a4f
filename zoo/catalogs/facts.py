"""What browsing says of a recipe, without the recipe: small enough to keep thousands of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.display.interrupt import let_through

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
        formats: the formats that the builds are in, each once, in order.
        words: all that a search finds it by beside its names, in lower case.
        chosen: the values of `build`, which suits this machine.
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
    formats: Sequence[str]
    words: str
    chosen: Sequence[Any]

    @property
    def build(self) -> BuildFacts:
        """The build that suits this machine, which `zoo.load` chooses."""
        return BuildFacts._make(self.chosen)


def facts_of(recipe: Recipe, builds: Sequence[BuildFacts], chosen: BuildFacts) -> Facts:
    """The facts of a recipe.

    Args:
        builds: those of the recipe, see `builds_of`.
        chosen: the one that suits this machine.
    """
    from zoo.catalogs import estimates

    found = Facts(
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
        recipe.formats,
        "",
        chosen,
    )
    return found._replace(words=_words(found, builds))


def builds_of(recipe: Recipe) -> list[BuildFacts]:
    """The builds of a recipe in its order, with the estimates of their formats."""
    from zoo.catalogs import estimates

    return [
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
    ]


def _task_words(name: str) -> tuple[str, tuple[str, ...]]:
    """What a task is called, as far as the plugin that describes it can be used."""
    from zoo.tasks.registry import task_of

    try:
        task = task_of(name)
        label, synonyms = str(task.label or name), tuple(map(str, task.synonyms))
    except BaseException as error:  # a stranger's description fails where its models are used
        let_through(error)
        return name, ()
    return label, synonyms


def _words(facts: Facts, builds: Iterable[BuildFacts]) -> str:
    """Everything that a search finds a model by beside its names, in lower case."""
    from zoo.catalogs.languages import LANGUAGES
    from zoo.catalogs.licenses import license_of

    license = license_of(facts.license)
    names = [LANGUAGES.get(code, code) for code in facts.languages]
    said = [f"{b.name} {b.format} {b.passes} {b.minimum_os}" for b in builds]
    said = list(dict.fromkeys(" ".join(said).split()))
    words = [
        facts.title, facts.summary, facts.task, facts.label, *facts.synonyms, facts.family,
        facts.license, license.name, f"commercial-{license.commercial}",
        *facts.languages, *names, "multilingual" * (len(facts.languages) > 1),
        *facts.tags, facts.repo, *facts.adapters, *said, "gated" * facts.gated,
    ]  # fmt: skip
    return " ".join(words).lower()


def _passes(recipe: Recipe, build: Build) -> str:
    from zoo.catalogs.formats import format_of

    options = [build.options, *(step.options for step in build.optimize)]
    named = [v for each in options for v in each.values() if isinstance(v, str)]
    try:
        target = str(build.lint.target or format_of(build.format).lint_target(recipe, build) or "")
    except BaseException as error:  # a stranger's description fails for its own builds alone
        let_through(error)
        target = ""
    words = [*(step.kind for step in build.optimize), *named, target]
    return " ".join(dict.fromkeys(words)).strip()
