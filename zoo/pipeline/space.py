"""Whether the disks can hold what a build takes, found out before anything is begun."""

from __future__ import annotations

from zoo.catalogs.recipe import Recipe
from zoo.files import room
from zoo.pipeline.plan import Plan
from zoo.store.store import Store


def require_room(recipe: Recipe, plan: Plan, store: Store) -> None:
    """Refuse to begin what the disks cannot hold: source, intermediates and result.

    Args:
        recipe: with its sources pinned.
        plan: of the build.
        store: where it is made.

    Raises:
        NoRoom: what needs how much, and what to do.
    """
    from zoo.hub.repository import cache_folder, to_come

    what, source = f"'{recipe.ref}'", recipe.source
    needs = {step.name: step.bytes for step in plan.steps if not step.done}
    passes = any(step.name == "optimize" for step in plan.steps)
    rest = {
        "intermediates": needs.get("convert", 0) if passes else 0,
        "the result": needs.get("optimize", needs.get("convert", 0)),
    }
    coming = 0
    if source.url:
        rest = {"the source": needs.get("download", 0), **rest}
    elif "download" in needs and source.repo:
        coming = to_come(source, needs["download"])
    if room.same_disk(cache_folder(), store.home):
        rest = {"the source": coming, **rest} if coming else rest
    else:
        hint = "free some space, or set HF_HOME to a folder on another disk"
        room.require(cache_folder(), {"the source": coming}, what, hint)
    hint = "free some space with zoo prune, or set ZOO_HOME to a folder on another disk"
    room.require(store.home, rest, what, hint)
