"""Write the recipe of a checkpoint: files, sizes, hashes, and what its own files say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.catalogs.recipe import Build
from zoo.catalogs.source import File, Source
from zoo.errors import IntegrityError, UsageError
from zoo.files.digests import sha256
from zoo.formats.checkpoint import checkpoint_files
from zoo.pipeline.own import Facts, folder_facts

MARGIN = 0.25
"""The margin of a limit, as a share of the measured divergence."""

FIGURES = 4
UNKNOWN = "LicenseRef-unknown"
TEMPLATES = ("chat_template.jinja", "chat_template.json")


@dataclass(frozen=True)
class Described:
    """What a recipe says of a model, without its builds.

    Attributes:
        source: with every file, its size and its digest.
        facts: of its weights and config.
        family, task, title: of the model.
        chat: whether its tokenizer has a chat template.
    """

    source: Source
    facts: Facts
    family: str
    task: str
    title: str
    chat: bool


def describe_folder(folder: Path, family: str, task: str, location: str) -> Described:
    """A checkpoint on this disk.

    Args:
        folder: where it is.
        family, task: of the model.
        location: what the recipe calls the folder.

    Raises:
        NotFound, InputError, IntegrityError: there is no such folder, or it is no checkpoint.
    """
    facts = folder_facts(folder)
    there = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    names = sorted(checkpoint_files(there, lambda name: (folder / name).read_bytes()))
    listed = tuple(File(n, (folder / n).stat().st_size, sha256(folder / n)) for n in names)
    if not any(name.endswith(".safetensors") for name in names):
        raise IntegrityError(f"{folder} has no safetensors", "save the model with safetensors")
    chat = any((folder / name).is_file() for name in TEMPLATES) or _has_template(
        folder / "tokenizer_config.json"
    )
    title = folder.resolve().name
    return Described(Source(folder=location, files=listed), facts, family, task, title, chat)


def _has_template(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("chat_template"))
    except (ValueError, AttributeError):
        return False


def recipe_text(
    described: Described,
    builds: Mapping[str, Sequence[Mapping[str, Any]]] | Mapping[str, Build],
    limits: Mapping[str, Mapping[str, float]] | None = None,
    inputs: Sequence[str] = (),
) -> str:
    """The recipe as TOML.

    Args:
        described: the model.
        builds: by name, a build; or by format, the passes of its one build.
        limits: of each build, by figure.
        inputs: the files that checks are measured on.
    """
    facts, source = described.facts, described.source
    license = facts.license or UNKNOWN
    lines = [
        "schema = 1",
        f"family = {_toml(described.family)}",
        f"title = {_toml(described.title)}",
        f"summary = {_toml('what it is good for, in one line')}",
        f"task = {_toml(described.task)}",
        f"license = {_toml(_spdx(license))}",
        f"parameters = {max(facts.count, 1)}",
    ]
    lines += [f"context = {facts.context}"] if facts.context else []
    if described.task == "text-generation" and facts.cache_per_token:
        lines.append(f"cache_per_token = {facts.cache_per_token}")
    lines += ["chat = true"] if described.chat else []
    lines += ["", "[source]"]
    for key in ("repo", "revision", "branch", "folder"):
        if (value := getattr(source, key)) is not None:
            lines.append(f"{key} = {_toml(value)}")
    lines += ["files = [", *(f"  {_file(file)}," for file in source.files), "]"]
    for name, given in builds.items():
        build = given if isinstance(given, Build) else Build(format=name)
        lines += ["", f"[build.{_key(name)}]", f"format = {_toml(build.format)}"]
        if build.optimize:
            passes = ({"kind": s.kind, **s.options} for s in build.optimize)
            lines.append(f"optimize = {_toml(list(passes))}")
        if build.options:
            lines.append(f"options = {_toml(build.options)}")
        if build.minimum_os:
            lines.append(f"minimum_os = {_toml(build.minimum_os)}")
        if kept := (limits or {}).get(name):
            lines.append(f"limits = {_toml(dict(kept))}")
    if inputs:
        lines += ["", "[check]", f"inputs = {_toml(list(inputs))}"]
    return "\n".join(lines) + "\n"


def limits_from(figures: Mapping[str, float], better: Mapping[str, str | None]) -> dict[str, float]:
    """Limits that measured figures keep, with some room.

    Args:
        figures: as measured.
        better: whether more of a figure is better (`at least`) or less (`at most`).
    """
    found = {}
    for name, value in figures.items():
        if better.get(name) == "at least":
            found[name] = _rounded(value - MARGIN * abs(1 - value) - 10**-FIGURES)
        elif better.get(name) == "at most":
            found[name] = _rounded(value + MARGIN * abs(value) + 10**-FIGURES)
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.{FIGURES}g}")


def _spdx(license: str) -> str:
    """The identifier of SPDX for what a model card calls a license."""
    known = {"apache-2.0": "Apache-2.0", "mit": "MIT", "cc-by-4.0": "CC-BY-4.0"}
    return known.get(license, license if license.startswith("LicenseRef") else _other(license))


def _other(license: str) -> str:
    return license if license[:1].isupper() else f"LicenseRef-{license}"


def _file(file: File) -> str:
    parts = [f"path = {_toml(file.path)}"]
    parts += [f"size = {file.size}"] if file.size is not None else []
    parts += [f"sha256 = {_toml(file.sha256)}"] if file.sha256 else []
    return "{ " + ", ".join(parts) + " }"


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else json.dumps(name)


def _toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(_utf8(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value)


def _utf8(text: str) -> str:
    """`text`, which may be the name of a file.

    Raises:
        UsageError: it is no UTF-8, which recipes are.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"a recipe cannot name {text!r}: recipes are UTF-8, and it is not", "rename the file"
        ) from None
    return text
