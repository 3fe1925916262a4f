"""A line such as `torch>=2; extra == "mlx"`, read as `packaging` reads it.

Importing `packaging` takes as long as a bare interpreter, so the common lines are read here and
the others there: those with a URL, a pre-release, or a marker that asks for more than an extra and
a system. The grammar is that of
https://packaging.python.org/specifications/dependency-specifiers/
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

from zoo.registry.distributions import normalized

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_RELEASE = r"\d+(?:\.\d+)*"
_VERSIONS = rf"(?:>=|<) ?{_RELEASE}|== ?{_RELEASE}(?:\.\*)?"
_LINE = re.compile(
    rf"({_NAME})(?:\[({_NAME}(?:, ?{_NAME})*)\])?(?: ?((?:{_VERSIONS})(?: ?, ?(?:{_VERSIONS}))*))?",
    re.ASCII,
)
_CLAUSE = re.compile(
    rf"(extra|sys_platform|platform_system) == (?:'({_NAME})'|\"({_NAME})\")", re.ASCII
)
_WANTED = re.compile(rf"(>=|<|==)({_RELEASE})(\.\*)?", re.ASCII)
_VERSION = re.compile(rf"({_RELEASE})(?:\+[a-z0-9.]+)?", re.ASCII)


class RequirementLine(NamedTuple):
    """A package that is wanted.

    Attributes:
        name: as the line spells it.
        extras: those that are wanted of it.
        wanted: the versions that will do, such as `>=2`; empty for any.
        holds: whether the line counts for an extra of its own distribution; `""` is none.
    """

    name: str
    extras: tuple[str, ...]
    wanted: str
    holds: Callable[[str], bool]


def read_line(line: str) -> RequirementLine:
    """The requirement of a line.

    Raises:
        ValueError: it is none.
    """
    text, semicolon, marker = line.partition(";")
    match, holds = _LINE.fullmatch(text.strip()), _marker(marker) if semicolon else _always
    if match is None or holds is None:
        return _read_by_packaging(line)
    extras = sorted(re.findall(_NAME, match[2] or ""))
    wanted = sorted({*(match[3] or "").replace(" ", "").split(",")} - {""})
    return RequirementLine(match[1], tuple(extras), ",".join(wanted), holds)


def fits(version: str, wanted: str) -> bool:
    """Whether a version is one of those that are wanted; any is where these cannot be read."""
    release = _VERSION.fullmatch(version)
    clauses = [_WANTED.fullmatch(each) for each in wanted.split(",")]
    if release is None or not all(clauses):
        return _fits_by_packaging(version, wanted)
    here = _numbers(release[1])
    return all(_is_in(here, clause) for clause in clauses if clause)


def _is_in(here: list[int], clause: re.Match[str]) -> bool:
    there = _numbers(clause[2])
    length = max(len(here), len(there))
    here, there = here + [0] * (length - len(here)), there + [0] * (length - len(there))
    if clause[1] == "==":
        most = clause[2].count(".") + 1 if clause[3] else length
        return here[:most] == there[:most]
    return here >= there if clause[1] == ">=" else here < there


def _numbers(release: str) -> list[int]:
    return [int(number) for number in release.split(".")]


def _always(extra: str) -> bool:
    return True


def _marker(text: str) -> Callable[[str], bool] | None:
    """The test of a marker that joins extras and systems by `and`; `None` of any other."""
    found = []
    for part in text.split(" and "):
        plain = part.strip()
        if plain.startswith("(") and plain.endswith(")"):
            plain = plain[1:-1].strip()
        if (clause := _CLAUSE.fullmatch(plain)) is None:
            return None
        found.append((clause[1], clause[2] or clause[3]))
    here = {"sys_platform": sys.platform, "platform_system": os.uname().sysname}
    if any(here.get(key, value) != value for key, value in found):
        return lambda extra: False
    wanted = {normalized(value) for key, value in found if key == "extra"}
    return lambda extra: all(value == normalized(extra) for value in wanted)


def _read_by_packaging(line: str) -> RequirementLine:
    from packaging.requirements import Requirement

    made = Requirement(line)
    marker = made.marker

    def holds(extra: str) -> bool:
        return marker is None or marker.evaluate({"extra": extra})

    return RequirementLine(made.name, tuple(sorted(made.extras)), str(made.specifier), holds)


def _fits_by_packaging(version: str, wanted: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True
