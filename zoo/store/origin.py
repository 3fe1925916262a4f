"""Where an artifact comes from, as its manifest records it and as it is reported to others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zoo.catalogs.recipe import Recipe
from zoo.catalogs.source import File, Source
from zoo.store.artifacts import Artifact


def fetched_files(recipe: Recipe, fetched: Artifact) -> list[tuple[Source, str | None, list[File]]]:
    """Each source of a download, the commit that it came from, and its files with their hashes."""
    from zoo.hub.cache import cached_commit

    placed = fetched.path.is_relative_to(fetched.entry.resolve())
    tokenizer = recipe.tokenizer if placed else None
    apart = {file.path for file in tokenizer.files} if tokenizer else set()
    found = []
    for source in filter(None, (recipe.source, tokenizer)):
        files = [
            File(file.path, file.size, file.sha256)
            for file in fetched.manifest.files
            if (file.path in apart) == (source is tokenizer)
        ]
        some_file = next((file.path for file in files), "")
        found.append((source, cached_commit(fetched.path, some_file), files))
    return found


def describe(recipe: Recipe, fetched: Iterable[tuple[Source, str | None, list[File]]]) -> Any:
    """What a manifest keeps of the recipe and of the sources that its artifact was made from."""
    from importlib.metadata import version

    return {
        "zoo": version("zoo-ml"),
        "recipe": {
            "ref": recipe.ref,
            "title": recipe.title,
            "summary": recipe.summary,
            "family": recipe.family,
            "task": recipe.task,
            "license": recipe.license,
            "gated": recipe.gated,
            "parameters": recipe.parameters,
        },
        "sources": [
            {
                "repo": source.repo,
                "folder": source.folder,
                "url": source.url,
                "commit": source.revision or commit,
                "branch": source.branch,
                "files": [vars(file) for file in files],
            }
            for source, commit, files in fetched
        ],
    }
