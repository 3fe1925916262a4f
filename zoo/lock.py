"""`zoo.lock`: the commit and the hashes of every source pulled, enforced ever after."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError
from zoo.recipe import File, Recipe, Source


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
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"):
            sources = self._read()
            if _name(source) in sources:
                return
            sources[_name(source)] = {"commit": commit, "files": [asdict(f) for f in files]}
            temporary = Path(f"{self.path}.{os.getpid()}")
            temporary.write_text(
                json.dumps({"schema": 1, "sources": sources}, indent=1, sort_keys=True) + "\n"
            )
            os.replace(temporary, self.path)

    def _read(self) -> dict[str, Any]:
        try:
            sources: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))["sources"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise RecipeError(
                f"lock file {self.path} cannot be read: {error}", hint="restore it, or delete it"
            ) from error
        return sources


def _name(source: Source) -> str:
    return f"{source.repo}@{source.revision or source.branch}"


def _merge(file: File, recorded: File | None) -> File:
    if recorded is None:
        return file
    return File(file.path, file.size or recorded.size, file.sha256 or recorded.sha256)
