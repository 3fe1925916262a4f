"""What `zoo plugins` finds out about each entry point of ours."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from zoo.errors import MissingExtra, RecipeError, ZooError
from zoo.registry.discovery import (
    BUILDS,
    CATALOGS,
    DESCRIPTIONS,
    FAMILIES,
    FORMATS,
    KINDS,
    SCORERS,
    TASKS,
    TINY,
    Provider,
    declared,
    providers,
)

HEAVY = (
    "av", "PIL", "coremltools", "diffusers", "huggingface_hub", "mlx", "numpy", "scipy",
    "soundfile", "tokenizers", "torch", "transformers",
)  # fmt: skip
"""Packages that a plugin's module must import inside its functions."""


def installed() -> list[dict[str, Any]]:
    """Every entry point of ours, with its status."""
    return [
        _described(group, provider)
        for group in KINDS
        for claims in declared(group).values()
        for provider in claims
    ]


def check(plugin: dict[str, Any]) -> None:
    """Load one plugin; note in it how long that takes, what of it is heavy, and why it fails."""
    if plugin["status"] != "ok":
        return
    before, began = set(sys.modules), time.perf_counter()
    try:
        LOADERS[plugin["kind"]](plugin["name"])
    except MissingExtra as error:
        plugin.update(status="missing packages", reason=error.message, install=error.hint)
    except ZooError as error:
        plugin.update(status="broken", reason=error.message)
    plugin["seconds"] = round(time.perf_counter() - began, 3)
    plugin["heavy"] = sorted(set(HEAVY) & (set(sys.modules) - before))


def hooks() -> Iterator[dict[str, Any]]:
    """For each family in a format, the distribution that answers each hook."""
    from zoo.family import Family
    from zoo.hooks.loading import HOOKS

    for name in providers(FAMILIES):
        family, _, format = name.rpartition(".")
        try:
            found = Family(family, format)
        except ZooError as error:
            yield {"name": name, "hooks": {}, "problem": error.message}
        else:
            answers = {hook: found.answers(hook) for hook in HOOKS}
            yield {"name": name, "hooks": answers, "problem": None}


def frozen() -> list[str]:
    """The distributions that have plugins, as requirements that install them again."""
    from zoo.files.documents import parse_json

    found = {}
    for group in KINDS:
        for claims in providers(group).values():
            for provider in claims:
                direct = provider.dist.read_text("direct_url.json") if provider.dist else None
                try:
                    url = parse_json(direct or "{}").get("url")
                except (ValueError, AttributeError):
                    url = None
                name, version = provider.distribution, provider.version
                found[name] = f"{name} @ {url}" if url else f"{name}=={version}"
    return [found[name] for name in sorted(found)]


def _described(group: str, provider: Provider) -> dict[str, Any]:
    claims = providers(group).get(provider.name, ())
    missing = provider.missing()
    others = [str(p) for p in claims if p is not provider]
    status, reason = "missing packages" if missing else "ok", None
    if provider not in claims:
        status, reason = "off", f"{others[0]} is preferred" if others else "it is turned off"
    elif others:
        status, reason = "conflict", f"{' and '.join(others)} claims the same"
    return {
        "kind": KINDS[group],
        "name": provider.name,
        "distribution": provider.distribution,
        "version": provider.version,
        "module": provider.value,
        "status": status,
        "missing": missing,
        "install": provider.install if missing else None,
        "reason": reason,
    }


def _catalog(name: str) -> None:
    from zoo.catalogs.catalog import open_catalog

    catalog = open_catalog()
    for label, error in catalog.problems.items():
        if label == name or label.startswith(f"{name} of "):
            raise error
    for listing in catalog:
        if listing.problem and listing.ref.startswith(f"{name}/"):
            raise RecipeError(listing.problem)


def _builds(name: str) -> None:
    from zoo.catalogs.catalog import open_catalog

    by = str(providers(BUILDS)[name][0])
    if by in (problems := open_catalog().offers.problems):
        raise problems[by]


def _family(name: str) -> None:
    from zoo.family import Family

    family, _, format = name.rpartition(".")
    Family(family, format)


def _format(name: str) -> None:
    from zoo.hooks.loading import load_plugin

    origin = providers(FORMATS)[name][0]
    origin.require()
    load_plugin(origin)


def _description(name: str) -> None:
    from zoo.catalogs.formats import described

    described(name)


def _task(name: str) -> None:
    from zoo.tasks.registry import task_of

    task_of(name).model()


def _scorer(name: str) -> None:
    from zoo.hooks.loading import load_scorer

    load_scorer(name)


def _tiny(name: str) -> None:
    providers(TINY)[name][0].load()


LOADERS: dict[str, Callable[[str], None]] = {
    KINDS[CATALOGS]: _catalog,
    KINDS[BUILDS]: _builds,
    KINDS[FAMILIES]: _family,
    KINDS[FORMATS]: _format,
    KINDS[DESCRIPTIONS]: _description,
    KINDS[TASKS]: _task,
    KINDS[SCORERS]: _scorer,
    KINDS[TINY]: _tiny,
}
