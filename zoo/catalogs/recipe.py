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
from zoo.catalogs.names import NAME, REPO, USER
from zoo.errors import IntegrityError, NotFound, PluginError, RecipeError, ZooError
from zoo.files.archive_address import archive_of
from zoo.files.documents import parse_toml
from zoo.files.safe_folder import read_regular
from zoo.files.trust import confined, plain_branch
from zoo.words import suggest

A_NAME = {"pattern": NAME, "expected": "a lower-case name"}


ANYWHERE = ("/", "~")
"""How a path begins that is not beside the recipe."""


@dataclass(frozen=True)
class File:
    """One file of a source."""

    path: str = field(metadata={"doc": "path inside the repository or folder"})
    size: int | None = field(default=None, metadata={"doc": "bytes", "minimum": 0})
    sha256: str | None = field(
        default=None,
        metadata={"doc": "64 hex digits", "pattern": "[0-9a-f]{64}", "expected": "64 hex digits"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        if not confined(self.path):
            yield "path", f"must stay inside the source, not '{self.path}'"


@dataclass(frozen=True)
class Source:
    """Where the original model comes from: a repository on the Hub, a folder, or an address."""

    repo: str | None = field(
        default=None,
        metadata={
            "doc": "repository on the Hub, as owner/name",
            "pattern": REPO,
            "expected": "owner/name",
        },
    )
    revision: str | None = field(
        default=None,
        metadata={
            "doc": "the commit: 40 hex digits, never a branch",
            "pattern": "[0-9a-f]{40}",
            "expected": "a commit of 40 hex digits",
        },
    )
    branch: str | None = field(
        default=None,
        metadata={"doc": "for a source without a known commit; the first pull pins it in zoo.lock"},
    )
    folder: str | None = field(
        default=None,
        metadata={
            "doc": "a folder beside the recipe, in place of a repository; in your own catalog also "
            "an absolute path, or one from ~"
        },
    )
    url: str | None = field(
        default=None,
        metadata={
            "doc": "an address that the family's download hook understands, or the path of a "
            "wheel, zip or tar archive, with #folder for a folder in it",
            "pattern": r"[^\s\x00-\x1f]{1,1024}",
            "expected": "an address without blanks",
        },
    )
    files: tuple[File, ...] = field(default=(), metadata={"doc": "the files needed"})

    @property
    def pinned(self) -> bool:
        """Whether the recipe alone decides every byte: a commit, or hashed files."""
        return self.revision is not None or (
            self.repo is None and bool(self.files) and all(f.sha256 for f in self.files)
        )

    def place(self, home: Path) -> Path | None:
        """The folder or archive on this disk that the source is, if it is one.

        Args:
            home: the folder of the recipe.
        """
        path = (self.archive or (self.folder,))[0]
        return None if path is None else home / Path(path).expanduser()

    @property
    def archive(self) -> tuple[str, str] | None:
        """The path of the archive that `url` names, and the folder in it, if it names one."""
        return archive_of(self.url) if self.url else None

    @property
    def size(self) -> int | None:
        """Bytes to download, when every file's size is known."""
        sizes = [f.size for f in self.files]
        return sum(s or 0 for s in sizes) if sizes and None not in sizes else None

    def validate(self) -> Iterator[tuple[str, str]]:
        if sum(place is not None for place in (self.repo, self.folder, self.url)) != 1:
            yield "repo", "give one of 'repo', 'folder' and 'url'"
        if self.repo and (self.revision is None) == (self.branch is None):
            yield "revision", "give the commit as 'revision', or 'branch' when none is known"
        if self.branch is not None and not plain_branch(self.branch):
            yield "branch", f"must be the name of a branch or tag, not '{self.branch}'"
        for key, path in (("folder", self.folder), ("url", (self.archive or (None,))[0])):
            if path is not None and not (confined(path) or path.startswith(ANYWHERE)):
                yield key, f"must stay beside the recipe, not '{path}'"
        paths = [f.path for f in self.files]
        for path in sorted({p for p in paths if paths.count(p) > 1}):
            yield "files", f"lists '{path}' twice"


@dataclass(frozen=True)
class Optimization:
    """One pass over the converted model; the format decides which kinds there are."""

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
    """A format plus optimizations."""

    format: str = field(metadata={"doc": "what the build is stored as and run by", **A_NAME})
    optimize: tuple[Optimization, ...] = field(
        default=(), metadata={"doc": "passes, in the order they run"}
    )
    options: dict[str, Any] = field(
        default_factory=dict, metadata={"doc": "read by the plugin alone"}
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
    """What a build is measured on, and how far it may diverge from its source."""

    inputs: tuple[str, ...] = field(metadata={"doc": "files beside the recipe"})
    limits: dict[str, float] = field(
        default_factory=dict, metadata={"doc": "metric to its limit, such as top1 = 0.9"}
    )
    recorded: dict[str, float] = field(
        default_factory=dict, metadata={"doc": "figures of the source itself, as measured"}
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
    """One source model, with everything `zoo` needs to turn it into something that runs."""

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
        from zoo.tables import pairs

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
        """The same as plain data, for JSON."""
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
        """Everything that a download brings: the source and, if it is apart, the tokenizer."""
        return (self.source,) if self.tokenizer is None else (self.source, self.tokenizer)

    def limits_of(self, build: Build) -> dict[str, float]:
        """The limits for a build: its own over the recipe's."""
        return {**(self.check.limits if self.check else {}), **build.limits}

    def pick(self, build: str | None = None, format: str | None = None) -> tuple[str, Build]:
        """The named build, or the first one of a format.

        Raises:
            NotFound: no such build, with the nearest name and all there are.
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
        """The formats that the builds are in, each once, in order."""
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
