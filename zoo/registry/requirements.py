"""What a distribution requires, through the extras that it asks for, and what of it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from zoo.registry.distributions import Distribution, installed, normalized
from zoo.registry.requirement_line import RequirementLine, fits, read_line

ZOO = "zoo-ml"

INSTEAD = {"mlx-cpu": ("mlx-cuda-13", "mlx-cuda-12")}
"""Packages that may stand in the place of another: MLX runs on any of its back ends."""


class Need(NamedTuple):
    """A package that is needed.

    Attributes:
        name: as the requirement spells it.
        wanted: the versions that will do, such as `>=2`; empty for any.
        version: the one that is installed; `None` when there is none.
    """

    name: str
    wanted: str
    version: str | None

    @property
    def met(self) -> bool:
        """Whether it is installed in a version that will do."""
        if self.version is None or not self.wanted:
            return self.version is not None
        return fits(self.version, self.wanted)

    def __str__(self) -> str:
        if self.version is None or self.met:
            return self.name
        return f"{self.name}{self.wanted} ({self.version} is here)"


@cache
def needs_of(dist: Distribution, extras: tuple[str, ...]) -> tuple[Need, ...]:
    """The packages that a distribution needs with some of its extras, `zoo-ml` aside.

    `zoo-ml[mlx]` among them means what that extra brings. What zoo needs itself is always there.
    """
    if not _lines(dist):
        return ()
    found: dict[str, Need] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting: list[tuple[Distribution, tuple[str, ...], bool]] = [(dist, extras, True)]
    while waiting:
        owner, asked, first = waiting.pop()
        if (mark := (normalized(owner.name or ""), asked)) in seen:
            continue
        seen.add(mark)
        always = first and not _is_zoo(owner.name or "")
        for wanted in _requirements(owner, asked, always):
            if isinstance(wanted, str):
                found.setdefault(wanted, Need(wanted, "", None))
                continue
            other = _installed(wanted.name)
            if not _is_zoo(wanted.name):
                version = other.version if other else None
                found.setdefault(wanted.name, Need(wanted.name, wanted.wanted, version))
            if other is not None and wanted.extras:
                waiting.append((other, wanted.extras, False))
    return tuple(found.values())


@cache
def made_for(dist: Distribution) -> Need | None:
    """The versions of zoo that a distribution is made for, if it says so and this is none."""
    if not any("zoo" in line for line in _lines(dist)) or _is_zoo(dist.name or ""):
        return None
    here = installed().get(normalized(ZOO))
    for wanted in _requirements(dist, (), True):
        if not isinstance(wanted, str) and _is_zoo(wanted.name):
            need = Need(wanted.name, wanted.wanted, here.version if here else None)
            if need.version is not None and not need.met:
                return need
    return None


def _installed(name: str) -> Distribution | None:
    """The distribution of a name, or one that may stand in its place."""
    names = (name, *INSTEAD.get(name.lower(), ()))
    here = installed()
    return next((here[each] for each in map(normalized, names) if each in here), None)


def _requirements(
    dist: Distribution, extras: tuple[str, ...], always: bool
) -> Iterator[RequirementLine | str]:
    """The requirements of some extras and, if `always`, those without one; a text is not valid."""
    for line in _lines(dist):
        conditional = "extra" in line.partition(";")[2]
        if not (any(extra in line for extra in extras) if conditional else always):
            continue
        try:
            wanted = read_line(line)
        except ValueError:
            yield line.partition(";")[0].strip() or "a package without a name"
            continue
        if always if wanted.holds("") else any(map(wanted.holds, extras)):
            yield wanted


def _lines(dist: Distribution) -> list[str]:
    """The requirements as they are written; none of metadata that is no text."""
    try:
        return dist.requires if dist.name else []
    except ValueError:
        return []


def _is_zoo(name: str) -> bool:
    return normalized(name) == normalized(ZOO)
