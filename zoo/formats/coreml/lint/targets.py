"""The targets of `zoo lint --for`, and the systems of `--os`."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from zoo.errors import UsageError
from zoo.words import suggest

Unit = Literal["ane", "gpu", "cpu"]
Device = Literal["iphone", "mac"]


class Target(NamedTuple):
    """Where a package is to run.

    Attributes:
        name: as given to `--for`.
        units: compute units that may run it.
        devices: kinds of device.
        generation: version of the system counted as iOS does (macOS 15 is 18); `None` for any.
        oldest: the oldest version that is to run it, where `generation` is any.
        system: as given to `--os`.
    """

    name: str
    units: frozenset[Unit]
    devices: frozenset[Device]
    generation: int | None = None
    oldest: int | None = None
    system: str | None = None


TARGETS = {
    target.name: target
    for target in (
        Target("iphone-neural-engine", frozenset({"ane"}), frozenset({"iphone"})),
        Target("iphone", frozenset({"ane", "gpu", "cpu"}), frozenset({"iphone"})),
        Target("gpu", frozenset({"gpu", "cpu"}), frozenset({"iphone", "mac"})),
        Target("mac-gpu", frozenset({"gpu"}), frozenset({"mac"})),
        Target("mac", frozenset({"ane", "gpu", "cpu"}), frozenset({"mac"})),
        Target("any", frozenset({"ane", "gpu", "cpu"}), frozenset({"iphone", "mac"})),
    )
}

MACOS = {12: 15, 13: 16, 14: 17, 15: 18, 26: 26, 27: 27}
IOS = (15, 16, 17, 18, 26, 27)


def oldest_of(minimum_os: str | None) -> int | None:
    """The oldest generation among systems such as `iOS18, macOS15`, where they name one."""
    found = []
    for family, number in re.findall(r"(ios|macos)(\d+)", (minimum_os or "").lower()):
        found.append(int(number) if family == "ios" else MACOS.get(int(number), int(number)))
    return min(found, default=None)


def read_target(name: str, system: str | None = None) -> Target:
    """The target of a name and a system.

    Args:
        name: one of `TARGETS`.
        system: such as `ios18` or `macos15`; `None` for any.

    Raises:
        UsageError: an unknown target or system, or a system that the target's device does not run.
    """
    if name not in TARGETS:
        raise UsageError(
            f"'{name}' is not a target{suggest(name, TARGETS)}",
            f"targets: {', '.join(TARGETS)}",
        )
    target = TARGETS[name]
    if system is None:
        return target
    known = [*(f"ios{n}" for n in IOS), *(f"macos{n}" for n in MACOS)]
    match = re.fullmatch(r"(ios|macos)(\d+)", system.lower())
    if match is None or system.lower() not in known:
        raise UsageError(
            f"'{system}' is not a known system{suggest(system.lower(), known)}",
            f"systems: {', '.join(known)}",
        )
    family, number = match[1], int(match[2])
    device = "iphone" if family == "ios" else "mac"
    if device not in target.devices:
        raise UsageError(f"the target '{name}' does not run {system}")
    generation = number if family == "ios" else MACOS[number]
    return target._replace(
        devices=frozenset({device}), generation=generation, system=system.lower()
    )
