"""Which build of a model suits this machine, from facts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from zoo import machine
from zoo.catalogs.facts import FORMAT, MEMORY, NAME, OFFERED
from zoo.catalogs.pairs import usable

if TYPE_CHECKING:
    from zoo.catalogs.facts import Facts
    from zoo.catalogs.index import Index


def best_build(
    builds: Sequence[tuple[str, str, int]],
    rank: Callable[[str], int],
    usable: Callable[[str], bool],
    memory: int,
    settings: Mapping[str, str],
) -> str:
    """The build for a machine: the first in the best usable format that fits its memory.

    The user's settings come first: the build that they name, where it is usable and fits, and the
    format, where it is usable.

    Args:
        builds: names, formats and bytes of memory, in the order of the recipe.
        rank: where a format stands on the machine; the lowest is the best.
        usable: whether what a format needs is installed.
        memory: of the machine, in bytes.
        settings: those of the user, see `machine.settings`.
    """
    wanted, preferred = settings.get("build"), settings.get("format")
    if wanted is not None:
        for name, format, need in builds:
            if name == wanted and usable(format) and need <= memory:
                return name
    known = dict.fromkeys([format for _, format, _ in builds])
    ranked = sorted(known, key=rank)
    if preferred in known:
        ranked.sort(key=lambda format: format != preferred)
    formats = [format for format in ranked if usable(format)] or ranked[:1]
    for format in formats:
        for name, its_format, need in builds:
            if its_format == format and need <= memory:
                return name
    return next(name for name, format, _ in builds if format == formats[0])


def rank(format: str) -> int:
    """Where a format stands on this machine; the lowest is the best."""
    from zoo.catalogs.formats import format_of

    described = format_of(format)
    return described.apple_rank if machine.apple_silicon() else described.rank


class Chooser:
    """Chooses builds for many models; what it asks of plugins is kept in the index."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.memory = machine.memory()
        self._ranks: dict[str, int] = {}
        self._usable: dict[tuple[str, str], bool] = {}

    @cached_property
    def settings(self) -> dict[str, str]:
        """The user's, read once."""
        return machine.settings()

    def learn(self, facts: Facts) -> None:
        """Find out what `best` asks about the formats of a model, before it is asked."""
        family = facts.family
        for format in dict.fromkeys([build[FORMAT] for build in facts.raw_builds]):
            if format not in self._ranks:
                self._ranks[format] = self.index.remember(f"rank {format}", partial(rank, format))
            if (family, format) not in self._usable:
                asked = partial(usable, family, format)
                kept = self.index.remember(f"usable {family}.{format}", asked)
                self._usable[family, format] = bool(kept)

    def best(self, facts: Facts) -> str:
        """The build of a model that suits this machine: one of the recipe's own, if it has any.

        The model is one that was learned.
        """
        raw = facts.raw_builds
        builds = [(b[NAME], b[FORMAT], b[MEMORY]) for b in raw if not b[OFFERED]] or [
            (b[NAME], b[FORMAT], b[MEMORY]) for b in raw
        ]
        of, rank = facts.family, self._ranks.__getitem__
        return best_build(builds, rank, lambda f: self._usable[of, f], self.memory, self.settings)
