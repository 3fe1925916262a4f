"""What `zoo doctor` looks at. No plugin is imported."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zoo
from zoo import api, machine
from zoo.catalogs.pins import Lock
from zoo.catalogs.source import Source
from zoo.cli import disk, entries
from zoo.errors import ZooError
from zoo.files.room import existing
from zoo.registry.discovery import FAMILIES, KINDS, Provider, providers, unreadable
from zoo.store.store import Store
from zoo.words import suggest


def examine() -> dict[str, Any]:
    """Everything that `zoo doctor` says."""
    store = api.store()
    writable = os.access(existing(store.home), os.W_OK)
    formats = _formats()
    return {
        "machine": machine.describe(),
        "memory_bytes": machine.memory(),
        "home": str(store.home),
        "free_bytes": disk.free(store.home),
        "writable": writable,
        "python": platform.python_version(),
        "zoo": zoo.__version__,
        "packages": _packages(),
        "formats": formats,
        "token": _has_token(),
        "offline": os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"),
        "leftovers": [p.name for p in store.leftovers()] if writable else [],
        "problems": list(_problems(store, writable, formats)),
    }


def _all_providers() -> Iterator[tuple[Provider, ...]]:
    for group in KINDS:
        yield from providers(group).values()


def _packages() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for claims in _all_providers():
        for provider in claims:
            found.update(provider.requirements())
    return dict(sorted(found.items()))


def _formats() -> dict[str, bool]:
    """Each format that a family has, and whether some family can run in it here."""
    runs: dict[str, bool] = {}
    for name, claims in providers(FAMILIES).items():
        format = name.rpartition(".")[2]
        good = len(claims) == 1 and not claims[0].missing()
        runs[format] = runs.get(format, False) or good
    return runs


def _has_token() -> bool:
    """Whether a token for the Hub is there; its value is not looked at."""
    if os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    folder = os.environ.get("HF_HOME", f"{cache}/huggingface")
    return Path(os.environ.get("HF_TOKEN_PATH", f"{folder}/token")).expanduser().is_file()


def _problems(store: Store, writable: bool, formats: dict[str, bool]) -> Iterator[str]:
    if not writable:
        yield f"{store.home} cannot be written; set ZOO_HOME to a folder of yours"
    if not any(formats.values()):
        yield "no format can run here; zoo plugins says what is missing"
    yield from unreadable()
    for claims in _all_providers():
        if len(claims) > 1:
            who = " and ".join(map(str, claims))
            yield f"'{claims[0].name}' is provided by {who}; uninstall one of them"
    yield from _catalog_problems()
    for entry in entries.everything(store):
        if entry.problem:
            yield f"{entry.key} is corrupt: {entry.problem}; remove it: zoo rm {entry.key}"
    try:
        Lock(machine.lock_file()).pin(Source())
    except (ZooError, OSError) as error:
        yield str(error)


def _catalog_problems() -> Iterator[str]:
    catalog = api.catalog()
    for name, error in catalog.problems.items():
        yield f"catalog {name}: {error.message}"
    for name, error in catalog.offers.problems.items():
        yield f"{name}: {error.message}"
    families, tasks = set(), set()
    refused: dict[str, None] = {}
    for listing in catalog:
        if (recipe := listing.recipe) is None:
            yield f"{listing.ref}: {listing.problem}"
            continue
        families.add(recipe.family)
        tasks.add(recipe.task)
        refused |= dict.fromkeys(error.message for error in recipe.refused.values())
    yield from refused
    for offer in catalog.offers.found:
        for kind, names, known in (
            ("family", offer.file.family, families),
            ("task", offer.file.task, tasks),
        ):
            for name in sorted(set(names) - known):
                close = suggest(name, known)
                yield f"{offer.by} offers builds to the {kind} '{name}', which no model has{close}"
