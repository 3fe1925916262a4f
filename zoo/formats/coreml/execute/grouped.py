"""Attend with fewer heads of keys than of queries without repeating the keys.

A program repeats each head of keys and values for the heads of queries that share it, with
`expand_dims`, `tile` and `reshape`, since Core ML's attention wants as many of each. PyTorch's
attention shares them itself: it computes each head from the same numbers, without the copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from zoo.formats.coreml.execute.graph import Graph, argument
from zoo.formats.coreml.execute.steps import Call, Step


class _Repeat(NamedTuple):
    """The steps that repeat heads: of what, how often, and the shape of the result."""

    steps: list[Call]
    source: Any
    times: int
    shape: list[int]


def share_keys(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """The steps of a program, without those that repeat keys and values for attention.

    Args:
        steps: of the program, in order, in which each name stands for one value.
        outputs: names that the program gives out.
    """
    graph = Graph(steps, outputs)
    gone: list[Step] = []
    fused: dict[int, Step] = {}
    for step in steps:
        if not isinstance(step, Call) or step.kind != "scaled_dot_product_attention":
            continue
        keys, values = (_repeat(graph, argument(step, key)) for key in ("key", "value"))
        if keys and values and keys[2:] == values[2:] and "query" in step.late:
            fused[id(step)] = _sharing(step, keys, values)
            gone += [*keys.steps, *values.steps]
    return graph.replace(gone, fused)


def _repeat(graph: Graph, entry: Any) -> _Repeat | None:
    """How what attention is given repeats heads, if it does."""
    merged = graph.maker(entry, "reshape")
    tiled = graph.maker(argument(merged, "x"), "tile") if merged else None
    expanded = graph.maker(argument(tiled, "x"), "expand_dims") if tiled else None
    if merged is None or tiled is None or expanded is None or "x" not in expanded.late:
        return None
    reps, shape = tiled.fixed.get("reps") or [0], merged.fixed.get("shape") or []
    times = max(reps)
    fits = reps == [1, 1, times, 1, 1] and expanded.fixed.get("axes") in ([2], [-3])
    if not fits or len(shape) != 4:
        return None
    return _Repeat([expanded, tiled, merged], argument(expanded, "x"), times, shape)


def _sharing(step: Call, keys: _Repeat, values: _Repeat) -> Step:
    from zoo.formats.coreml.execute.kernels.fused import grouped_attention

    late = {**step.late, "key": (keys.source, None), "value": (values.source, None)}
    fixed = {**step.fixed, "times": keys.times, "shape": keys.shape}
    return replace(step, kernel=grouped_attention, fixed=fixed, late=late)
