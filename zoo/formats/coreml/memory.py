"""The memory that a package takes to run, from its own shapes and the lifetimes of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

from zoo.formats.coreml.execute.program import states_of
from zoo.formats.coreml.execute.shapes import Shaped, follow
from zoo.formats.coreml.package.proto import WEIGHT_FILE
from zoo.formats.coreml.package.reader import Package
from zoo.reports.costs import Memory

NUMBER_BYTES = 2
"""Activations and states are float16 but for a few places."""

SAME = frozenset(
    ("identity", "reshape", "squeeze", "expand_dims", "read_state", "write_state",
     "coreml_update_state", "slice_update")
)  # fmt: skip
"""Operations whose result lies where their input does: views, and what is written in place."""


def package_memory(
    path: Path, inputs: Mapping[str, tuple[int, ...]], function: str | None = None
) -> Memory:
    """What one function of a package takes.

    Intermediate results are the inputs, the most results at once, and the largest once more: an
    operation may need room of its own.

    Args:
        path: the `.mlpackage`.
        inputs: the shape of each input.
        function: its name; `None` for the default one.

    Raises:
        IntegrityError: the package is damaged, or has an operation that is not known.
    """
    package = Package(path)
    interface, _ = package.function(function)
    file = path / WEIGHT_FILE
    weights = file.stat().st_size if file.is_file() else 0
    caches = sum(map(prod, states_of(path.name, interface).values()))
    given = sum(map(prod, inputs.values()))
    steps = follow(package, inputs, function)
    largest = max((sum(map(prod, step.results)) for step in steps), default=0)
    numbers = given + peak_numbers(steps) + largest  # a kernel may need its result again
    return Memory(weights, caches * NUMBER_BYTES, numbers * NUMBER_BYTES, weights)


def peak_numbers(steps: Sequence[Shaped]) -> int:
    """The most numbers that are held at once: each result from its making to its last use."""
    owner: dict[str, str] = {}
    last: dict[str, int] = {}
    for number, step in enumerate(steps):
        roots = [owner.get(name, name) for name in step.given]
        last |= dict.fromkeys(roots, number)
        shared = step.kind in SAME and roots
        owner |= dict.fromkeys(step.names, roots[0] if shared else step.name)
        if not shared:
            last[step.name] = number
    held: dict[str, int] = {}
    peak = live = 0
    ends: dict[int, list[str]] = {}
    for name, number in last.items():
        ends.setdefault(number, []).append(name)
    for number, step in enumerate(steps):
        if owner[step.name] == step.name:
            held[step.name] = sum(map(prod, step.results))
            live += held[step.name]
        peak = max(peak, live)
        live -= sum(held.pop(name, 0) for name in ends.get(number, ()))
    return peak


def together(parts: Sequence[Memory]) -> Memory:
    """What packages take that run one after another, all of them loaded."""
    return Memory(
        sum(part.weights for part in parts),
        sum(part.caches for part in parts),
        max((part.activations for part in parts), default=0),
        max((part.largest_package for part in parts), default=0),
    )
