"""A recipe: one source model, pinned, with its builds and its checks, as strict data.

Recipes are TOML files. `read_recipe` turns one into frozen dataclasses and reports every fault at
once; `recipe_schema` describes the same for editors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo import schema
from zoo.catalogs.names import NAME, USER
from zoo.catalogs.source import ANYWHERE, Source
from zoo.errors import IntegrityError, NotFound, PluginError, RecipeError, ZooError
from zoo.files.documents import parse_toml
from zoo.files.safe_folder import read_regular
from zoo.files.trust import confined
from zoo.words import suggest

A_NAME = {"pattern": NAME, "expected": "a lower-case name"}


@dataclass(frozen=True)
class Optimization:
    """One pass over the converted model. The format defines which kinds there are."""

    kind: str = field(metadata={"doc": "what the pass does, such as 'quantize'"})
    options: dict[str, Any] = field(default_factory=dict, metadata={"rest": True})


@dataclass(frozen=True)
class LintChoice:
    """What a build is linted for before it is published, and which findings it may have."""

    target: str | None = field(
        default=None,
        metadata={"doc": "device and unit, as for zoo lint --for; the format has a default"},
    )
    accept: dict[str, str] = field(
        default_factory=dict,
        metadata={"doc": "accepted findings: the rule's id to the reason"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        for rule, reason in self.accept.items():
            if not reason.strip():
                yield f"accept.{rule}", "must give the reason why the finding is accepted"


@dataclass(frozen=True)
class Build:
    """A build of a model: a format, and optimization passes to run after the conversion."""

    format: str = field(metadata={"doc": "what the build is stored as and run by", **A_NAME})
    optimize: tuple[Optimization, ...] = field(
        default=(), metadata={"doc": "passes, in the order they run"}
    )
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"doc": "options for the plugin of the family"}
    )
    limits: dict[str, float] = field(
        default_factory=dict, metadata={"doc": "limits of the check, which override the recipe's"}
    )
    bits: float | None = field(
        default=None,
        metadata={"doc": "bits of each weight on disk, with scales and tables; else estimated"},
    )
    minimum_os: str | None = field(
        default=None, metadata={"doc": "oldest system that runs it, such as 'iOS18'"}
    )
    lint: LintChoice = field(
        default_factory=LintChoice,
        metadata={"doc": "what the build is linted for, and which findings it may have"},
    )
    offered_by: str = field(default="", metadata={"internal": True})
    """Who added it to the recipe; empty for the recipe's own."""


@dataclass(frozen=True)
class Check:
    """How a build is compared with its source, and how far it may diverge."""

    inputs: tuple[str, ...] = field(metadata={"doc": "files beside the recipe"})
    limits: dict[str, float] = field(
        default_factory=dict, metadata={"doc": "metric to its limit, such as top1 = 0.9"}
    )
    recorded: dict[str, float] = field(
        default_factory=dict, metadata={"doc": "metrics of the source itself, as measured"}
    )
    scorer: str | None = field(
        default=None,
        metadata={"doc": "scorer of images by their prompts, from the entry points zoo.scorers"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        for path in self.inputs:
            if not confined(path):
                yield "inputs", f"must stay beside the recipe, not '{path}'"


@dataclass(frozen=True)
class Recipe:
    """A source model, with everything needed to download, convert, optimize, check and run it."""

    schema: int = field(metadata={"doc": "version of this format: 1"})
    family: str = field(metadata={"doc": "the architecture, which chooses the plugin", **A_NAME})
    title: str = field(metadata={"doc": "the model's full name"})
    summary: str = field(metadata={"doc": "one line on what it is good for"})
    task: str = field(metadata={"doc": "what it does, such as text-generation", **A_NAME})
    license: str = field(metadata={"doc": "SPDX identifier, or LicenseRef-..."})
    parameters: int = field(metadata={"doc": "number of weights", "minimum": 1})
    source: Source = field(metadata={"doc": "the original model"})
    build: dict[str, Build] = field(
        metadata={"doc": "builds; the first of a format is its default"}
    )
    tokenizer: Source | None = field(
        default=None, metadata={"doc": "where the tokenizer comes from, when the source has none"}
    )
    adapter: dict[str, Source] = field(
        default_factory=dict,
        metadata={"doc": "LoRA adapters by name; each is a choice at run time in every build"},
    )
    gated: bool = field(default=False, metadata={"doc": "whether the source is gated"})
    chat: bool | None = field(
        default=False, metadata={"doc": "whether a prompt is a turn of a chat"}
    )
    context: int | None = field(
        default=None, metadata={"doc": "longest input, in tokens", "minimum": 1}
    )
    cache_per_token: int | None = field(
        default=None,
        metadata={"doc": "bytes of keys and values for each token, in float16", "minimum": 1},
    )
    cache_bytes: int | None = field(
        default=None,
        metadata={"doc": "bytes of caches of one fixed length, in float16", "minimum": 1},
    )
    activation_bytes: int | None = field(
        default=None,
        metadata={"doc": "bytes of the most activations at once, in float16", "minimum": 1},
    )
    defaults: dict[str, Any] = field(default_factory=dict, metadata={"doc": "default call options"})
    check: Check | None = field(default=None, metadata={"doc": "how builds are measured"})
    languages: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "ISO 639 codes of the languages that it takes or speaks",
            "pattern": "[a-z]{2,3}",
            "expected": "an ISO 639 code such as 'en'",
        },
    )
    tags: tuple[str, ...] = field(
        default=(), metadata={"doc": "words that a search finds it by", **A_NAME}
    )
    weight_bytes: int | None = field(default=None, metadata={"internal": True}, compare=False)
    dtypes: dict[str, int] = field(default_factory=dict, metadata={"internal": True}, compare=False)
    refused: dict[str, ZooError] = field(
        default_factory=dict, metadata={"internal": True}, compare=False
    )
    """Builds that others offer and that cannot be used, each with why."""
    unread: tuple[str, ...] = field(default=(), metadata={"internal": True}, compare=False)
    """Why files that might offer more builds cannot be read."""
    ref: str = field(default="", metadata={"internal": True})
    home: Path = field(default=Path(), metadata={"internal": True}, compare=False)

    def __repr__(self) -> str:
        return f"<Recipe {self.ref or self.title}: {self.task}, {len(self.build)} builds>"

    def _repr_html_(self) -> str:
        from zoo.display.tables import pairs

        where = self.source.repo or self.source.folder
        rows = (
            ("title", self.title), ("summary", self.summary), ("task", self.task),
            ("family", self.family), ("license", self.license),
            ("gated", "yes" if self.gated else ""), ("parameters", f"{self.parameters:,}"),
            ("source", f"{where}@{self.source.revision or self.source.branch or ''}".rstrip("@")),
            ("builds", ", ".join(self.build)), ("adapters", ", ".join(self.adapter)),
        )  # fmt: skip
        return pairs(self.ref or self.title, rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data, for JSON."""
        data = asdict(replace(self, refused={}))
        return {**data, "home": str(self.home)}

    def validate(self) -> Iterator[tuple[str, str]]:
        if self.schema != 1:
            yield "schema", f"this version of zoo reads schema 1, not {self.schema}"
        if self.tokenizer is not None:
            if not self.tokenizer.files:
                yield "tokenizer.files", "must list the tokenizer's files"
            own = {file.path for file in self.source.files}
            for path in sorted(own & {file.path for file in self.tokenizer.files}):
                yield "tokenizer.files", f"lists '{path}', which the source has too"
        if not self.build:
            yield "build", "at least one build is needed"
        for kind, names in (("build", self.build), ("adapter", self.adapter)):
            for name in names:
                if not re.fullmatch(NAME, name):
                    yield f"{kind}.{name}", "must be a lower-case name"

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources to download: the model and, if it comes from elsewhere, its tokenizer."""
        return (self.source,) if self.tokenizer is None else (self.source, self.tokenizer)

    def limits_of(self, build: Build) -> dict[str, float]:
        """Return the check limits of a build: its own, which override the recipe's."""
        return {**(self.check.limits if self.check else {}), **build.limits}

    def pick(self, build: str | None = None, format: str | None = None) -> tuple[str, Build]:
        """Choose a build by name, or the first one in a format.

        Args:
            build: the name of the build; `None` for any.
            format: the format; `None` for any.

        Returns: the name of the build, and the build.

        Raises:
            NotFound: there is no such build; the message suggests the closest match.
        """
        known = f"builds of {self.ref}: {', '.join(self.build)}"
        known += "".join(f"; not read: {problem}" for problem in self.unread)
        if build is not None:
            if build in self.refused:
                raise self.refused[build]
            if build not in self.build:
                close = suggest(build, self.build)
                raise NotFound(f"'{self.ref}' has no build '{build}'{close}", known)
            if format not in (None, self.build[build].format):
                raise NotFound(
                    f"build '{build}' of '{self.ref}' has the format "
                    f"'{self.build[build].format}', not '{format}'",
                    known,
                )
            return build, self.build[build]
        for name, candidate in self.build.items():
            if format in (None, candidate.format):
                return name, candidate
        raise NotFound(
            f"'{self.ref}' has no build in the format '{format}'"
            + (self._who_runs(format or "") or suggest(format or "", self.formats)),
            known,
        )

    def _who_runs(self, format: str) -> str:
        """For a format without a build: that a plugin runs it, which offers none."""
        from zoo.catalogs.pairs import runner

        try:
            origin = runner(self.family, format)
        except PluginError:
            return ""
        return (
            f": '{origin.name}' of {origin} is installed and would run one, but nobody offers one; "
            "add it to builds.toml in your configuration folder"
        )

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of the builds, each once, in order."""
        return tuple(dict.fromkeys(b.format for b in self.build.values()))


TITLE = "A zoo recipe"
LARGEST_TOML = 1 << 24


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The TOML file at `path`.

    Raises:
        RecipeError: the file is not there, not text, or not TOML.
    """
    try:
        return parse_toml(read_regular(path, LARGEST_TOML).decode())
    except FileNotFoundError:
        raise RecipeError(f"{what} {path} does not exist") from None
    except (OSError, ValueError, IntegrityError) as error:
        raise RecipeError(f"{what} {path} cannot be read: {error}") from error


def read_recipe(path: Path, ref: str = "") -> Recipe:
    """The recipe in the TOML file at `path`.

    Raises:
        RecipeError: with every fault in the file, each by key path.
    """
    from zoo.catalogs.validation import faults_of

    problems = schema.Problems()
    recipe: Recipe | None = schema.read(Recipe, read_toml(path, "recipe"), problems)
    if recipe is not None:
        recipe = replace(recipe, ref=ref or path.stem, home=path.parent)
        for where, message in _elsewhere(recipe):
            problems.add(where, message)
        for where, message in faults_of(recipe):
            problems.add(where, message)
    if recipe is None or problems.found:
        count = len(problems.found)
        faults = "1 fault" if count == 1 else f"{count} faults"
        raise RecipeError(f"recipe {path} has {faults}:", tuple(problems.found))
    return recipe


def _elsewhere(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Sources that are not beside the recipe, which only recipes of the user's own may have."""
    if recipe.ref.startswith(f"{USER}/"):
        return
    named = [("source", recipe.source), *((f"adapter.{n}", a) for n, a in recipe.adapter.items())]
    named += [("tokenizer", recipe.tokenizer)] if recipe.tokenizer else []
    for where, source in named:
        for key, path in (("folder", source.folder), ("url", (source.archive or (None,))[0])):
            if path is not None and path.startswith(ANYWHERE):
                yield (
                    f"{where}.{key}",
                    f"must stay beside the recipe, not '{path}'; only your own catalog "
                    "may name other folders",
                )


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe file."""
    return schema.json_schema(Recipe, TITLE)
