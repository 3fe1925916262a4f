"""The plan of a build: from a recipe, the plugins installed and what the store has."""

from __future__ import annotations

from zoo.catalogs import estimates
from zoo.catalogs.pairs import runner
from zoo.catalogs.recipe import Recipe
from zoo.errors import ZooError
from zoo.pipeline.keys import Keys, format_provider
from zoo.pipeline.plan import Plan, PlannedStep
from zoo.store.store import Store


def plan_build(recipe: Recipe, name: str, keys: Keys, store: Store) -> Plan:
    """What is done and what is left to do.

    Args:
        recipe: with its sources pinned as in `zoo.lock`.
        name: of the build.
        keys: of its artifacts.
        store: where they are.

    Raises:
        MissingPlugin, PluginConflict: nobody, or several, provide the family in this format.
    """
    build, source = recipe.build[name], recipe.source
    family = runner(recipe.family, build.format)
    format = format_provider(build.format) or family
    bringer = str(family) if source.url and not source.archive else "zoo"
    fetched = estimates.download_bytes(recipe) if source.folder is None else 0
    stored = bool(store.entries())  # else no key is asked for, which takes reading our code
    finished = stored and _has(store, keys.finished)
    fetched_already = stored and _has(store, keys.source)
    steps = [PlannedStep("download", bringer, fetched_already, fetched)]
    if build.optimize:
        between = estimates.converted_bytes(recipe, build)
        converted = finished or (stored and _has(store, keys.converted))
        steps.append(PlannedStep("convert", str(family), converted, between))
        size = estimates.build_bytes(recipe, build)
        steps.append(PlannedStep("optimize", str(format), finished, size))
    else:
        steps.append(PlannedStep("convert", str(family), finished, 0))
    steps.append(PlannedStep("run", str(family), False, 0))
    return Plan(
        ref=recipe.ref,
        build=name,
        format=build.format,
        pinned=all(s.pinned or s.folder is not None for s in recipe.sources),
        steps=tuple(steps),
        memory=estimates.memory_bytes(recipe, build),
        missing=tuple(family.missing()),
        install=family.install,
    )


def _has(store: Store, key: str) -> bool:
    """Whether the store has the artifact of a key, undamaged."""
    try:
        return store.get(key) is not None
    except ZooError:
        return False
