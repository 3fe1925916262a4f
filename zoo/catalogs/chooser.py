"""Which build of a model suits this machine, from facts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo import machine

if TYPE_CHECKING:
    from zoo.catalogs.facts import BuildFacts


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
    """Chooses builds for many models of one machine."""

    def __init__(self) -> None:
        self._memory, self._settings = machine.memory(), machine.settings()
        self._known: dict[tuple[str, str], bool] = {}

    @property
    def state(self) -> list[Any]:
        """All but what is installed that a choice depends on."""
        return [self._memory, machine.apple_silicon(), self._settings]

    def best(self, family: str, builds: Sequence[BuildFacts]) -> BuildFacts:
        """The build of a model that suits this machine: one of the recipe's own, if it has any."""
        own = [build for build in builds if not build.offered_by] or builds
        name = best_build(
            [(build.name, build.format, build.memory_bytes) for build in own],
            rank,
            lambda format: self._usable(family, format),
            self._memory,
            self._settings,
        )
        return next(build for build in own if build.name == name)

    def _usable(self, family: str, format: str) -> bool:
        from zoo.catalogs.pairs import usable

        if (family, format) not in self._known:
            self._known[family, format] = usable(family, format)
        return self._known[family, format]
