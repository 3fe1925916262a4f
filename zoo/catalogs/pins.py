"""`zoo.lock`: the commit and the hashes of every source pulled, enforced ever after."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from zoo.catalogs.recipe import Recipe
from zoo.catalogs.source import File, Source
from zoo.errors import IntegrityError, RecipeError
from zoo.files import locks
from zoo.files.documents import parse_json
from zoo.files.safe_folder import read_regular

LARGEST = 1 << 28


class Lock:
    """The lock file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pin(self, source: Source) -> Source:
        """`source` with what is recorded of it: the commit, and each file's size and sha256.

        Raises:
            RecipeError: the lock file cannot be read.
        """
        known = self._read().get(_name(source))
        if known is None:
            return source
        recorded = {f["path"]: File(**f) for f in known["files"]}
        wanted = source.files or tuple(recorded.values())
        files = tuple(_merge(f, recorded.get(f.path)) for f in wanted)
        return replace(source, revision=source.revision or known["commit"], files=files)

    def pin_recipe(self, recipe: Recipe) -> Recipe:
        """`recipe` with each of its sources pinned."""
        tokenizer = None if recipe.tokenizer is None else self.pin(recipe.tokenizer)
        adapters = {name: self.pin(source) for name, source in recipe.adapter.items()}
        return replace(
            recipe, source=self.pin(recipe.source), tokenizer=tokenizer, adapter=adapters
        )

    def record(self, source: Source, commit: str | None, files: Iterable[File]) -> None:
        """Remember what the first pull of `source` brought."""
        files = list(files)
        if not _news(self._read(), source, commit, files):
            return
        with locks.holding(self.path.with_name(f".{self.path.name}.held")):
            sources = self._read()
            if added := _news(sources, source, commit, files):
                entry = sources.setdefault(_name(source), {"commit": commit, "files": []})
                entry["files"] += [asdict(file) for file in added]
                self._write(sources)

    def entries(self) -> dict[str, Any]:
        """Every source that is recorded: its name to its commit and files."""
        return self._read()

    def require_agreement(self, entries: dict[str, Any]) -> None:
        """Refuse what another machine recorded when it contradicts what is recorded here.

        Raises:
            IntegrityError: it does, or it is no record of sources.
        """
        try:
            _require_sound(entries, "the record of its sources")
        except RecipeError as error:
            raise IntegrityError(error.message) from error
        _require_agreement(self._read(), entries, self.path)

    def adopt(self, entries: dict[str, Any]) -> None:
        """Take over what another machine recorded.

        Raises:
            IntegrityError: it contradicts what is recorded here, or is no record of sources.
        """
        self.require_agreement(entries)
        if not entries:
            return
        with locks.holding(self.path.with_name(f".{self.path.name}.held")):
            sources = self._read()
            _require_agreement(sources, entries, self.path)
            for name, entry in entries.items():
                sources.setdefault(name, entry)
            self._write(sources)

    def models(self) -> dict[str, str]:
        """The models that a project locked: reference to build, which is empty for the source."""
        self._read()
        kept = self._document().get("models", {})
        sound = isinstance(kept, dict) and all(isinstance(v, str) for v in kept.values())
        if not sound:
            raise RecipeError(
                f"lock file {self.path} cannot be read: 'models' must map names to builds"
            )
        return dict(kept)

    def add_models(self, models: Mapping[str, str], entries: Mapping[str, Any]) -> None:
        """Lock models and the sources that they are made from.

        Raises:
            IntegrityError: what is recorded of a source contradicts `entries`.
        """
        with locks.holding(self.path.with_name(f".{self.path.name}.held")):
            sources = self._read()
            _require_agreement(sources, dict(entries), self.path)
            self._write({**sources, **entries}, {**self.models(), **models})

    def _document(self) -> dict[str, Any]:
        try:
            made: dict[str, Any] = parse_json(read_regular(self.path, LARGEST))
        except FileNotFoundError:
            return {}
        return made

    def _write(self, sources: Mapping[str, Any], models: Mapping[str, str] | None = None) -> None:
        kept = self._document().get("models") if models is None else models
        document = {"schema": 1, "sources": sources, **({"models": kept} if kept else {})}
        text = json.dumps(document, indent=1, sort_keys=True) + "\n"
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            sources: dict[str, Any] = parse_json(read_regular(self.path, LARGEST))["sources"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, IntegrityError) as error:
            raise RecipeError(
                f"lock file {self.path} cannot be read: {error}", hint="restore it, or delete it"
            ) from error
        _require_sound(sources, f"lock file {self.path}")
        return sources


def _news(
    sources: dict[str, Any], source: Source, commit: str | None, files: list[File]
) -> list[File]:
    """The files of a source that are not recorded yet; the first pull decides on the commit."""
    entry = sources.get(_name(source), {"commit": commit, "files": []})
    known = {file["path"] for file in entry["files"]}
    return [f for f in files if f.path not in known] if entry["commit"] == commit else []


def _require_sound(sources: Any, where: str) -> None:
    """Refuse a record whose commits, paths or hashes are not of the form that they must have.

    Raises:
        RecipeError: what is wrong.
    """
    try:
        for name, entry in sources.items():
            commit, files = entry["commit"], entry["files"]
            if commit is not None and not re.fullmatch("[0-9a-f]{40}", commit):
                raise ValueError(f"the commit of '{name}' is not 40 hexadecimal digits")
            for file in files:
                for _, fault in File(**file).validate():
                    raise ValueError(f"a file of '{name}' {fault}")
                if file["sha256"] is not None and not re.fullmatch("[0-9a-f]{64}", file["sha256"]):
                    raise ValueError(f"a sha256 of '{name}' is not 64 hexadecimal digits")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{where} cannot be read: {error}", hint="restore it, or delete it"
        ) from error


def _require_agreement(here: dict[str, Any], entries: dict[str, Any], path: Path) -> None:
    for name, entry in entries.items():
        if name in here and _disagree(here[name], entry):
            raise IntegrityError(
                f"{path} records other bytes or another commit of '{name}'",
                "find out which is right before you continue",
            )


def _disagree(one: dict[str, Any], other: dict[str, Any]) -> bool:
    hashes = {file["path"]: file["sha256"] for file in one["files"]}
    return one["commit"] != other["commit"] or any(
        hashes.get(file["path"], file["sha256"]) != file["sha256"] for file in other["files"]
    )


def lock_name(source: Source) -> str:
    """What a source is called in a lock file, also when its commit is filled in already."""
    return source.url or f"{source.repo}@{source.branch or source.revision}"


def _name(source: Source) -> str:
    return source.url or f"{source.repo}@{source.revision or source.branch}"


def _merge(file: File, recorded: File | None) -> File:
    if recorded is None:
        return file
    return File(file.path, file.size or recorded.size, file.sha256 or recorded.sha256)
