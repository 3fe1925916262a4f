"""Rotate queries and keys by their positions in one step.

Rotary embeddings (https://arxiv.org/abs/2104.09864) are six operations of a program: `x` is split
into halves, the second one is negated, both are joined the other way round, and this is added
with one factor to `x` with another. The same calls of PyTorch from one function give the same
numbers, in half of the time where there are few numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from zoo.formats.coreml.execute.graph import Graph, argument, fused, other, result
from zoo.formats.coreml.execute.steps import Call, Step
from zoo.formats.coreml.package.proto import Name


class _Rotation(NamedTuple):
    """The steps of a rotation, the last one last, and what they are given."""

    steps: list[Call]
    source: Any
    cos: Any
    sin: Any


def fuse_rotations(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """The steps of a program, with one for each rotation whose intermediate results only it reads.

    Args:
        steps: of the program, in order, in which each name stands for one value.
        outputs: names that the program gives out.
    """
    return fused(steps, outputs, _rotation, _at_once)


def _rotation(graph: Graph, added: Step) -> _Rotation | None:
    """The rotation that a sum is the end of."""
    if not isinstance(added, Call) or added.kind != "add":
        return None
    x, y = argument(added, "x"), argument(added, "y")
    for one, another in ((x, y), (y, x)):
        plain, turned = graph.maker(one, "mul"), graph.maker(another, "mul")
        if plain and turned and (found := _with_factors(graph, plain, turned, added)):
            return found
    return None


def _with_factors(graph: Graph, plain: Call, turned: Call, added: Call) -> _Rotation | None:
    for entry in (argument(turned, "x"), argument(turned, "y")):
        joined = graph.maker(entry, "concat")
        swapped = _swapped(graph, joined) if joined else None
        if joined is None or swapped is None:
            continue
        split, negated = swapped
        source = argument(split, "x")
        cos, sin = other(plain, source), other(turned, result(joined))
        steps = [split, negated, joined, plain, turned, added]
        kinds = {graph.kind(given) for given in (source, cos, sin)}
        kinds.update(kind for step in steps for _, kind in step.outputs)
        if kinds in ({"FLOAT16"}, {"FLOAT32"}):
            return _Rotation(steps, source, cos, sin)
    return None


def _swapped(graph: Graph, joined: Call) -> tuple[Call, Call] | None:
    """The split whose halves are joined the other way round, and what negates the second one."""
    entries = argument(joined, "values")
    if len(entries) != 2 or joined.fixed.get("axis") != -1 or joined.fixed.get("interleave"):
        return None
    negated = graph.maker(entries[0], "mul")
    split = graph.maker(entries[1], "split")
    if negated is None or split is None or len(split.outputs) != 2:
        return None
    if split.fixed.get("axis") != -1 or split.fixed.get("num_splits") != [2]:
        return None
    first, second = (Name(name) for name, _ in split.outputs)
    if entries[1] != first or not _is_minus_one(other(negated, second)):
        return None
    return split, negated


def _is_minus_one(value: Any) -> bool:
    """Whether this is a constant, of one number, that is -1."""
    single = hasattr(value, "dim") and value.dim() <= 1 and value.numel() == 1
    return single and float(value) == -1


def _at_once(turn: _Rotation) -> Step:
    from zoo.formats.coreml.execute.kernels.fused import rotated

    late = {"x": (turn.source, None), "cos": (turn.cos, None), "sin": (turn.sin, None)}
    return Call("rotation", rotated, {}, late, turn.steps[-1].outputs)
