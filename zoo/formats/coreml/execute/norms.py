"""Compute the norms of language models, of root mean squares, in one step.

A program has seven operations for each: it casts to float32, squares, takes the mean and its
inverse root, multiplies, casts back, and multiplies by the weights. The same calls of PyTorch from
one function give the same numbers, in half of the time where there are few numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from zoo.formats.coreml.execute.graph import Graph, argument, fused, other, result
from zoo.formats.coreml.execute.steps import Call, Step
from zoo.formats.coreml.package.proto import Name


class _Norm(NamedTuple):
    """The steps of a norm, in order, and what it is of."""

    source: Name
    steps: list[Call]
    epsilon: Any
    gamma: Any


def fuse_norms(steps: Sequence[Step], outputs: Sequence[str]) -> list[Step]:
    """The steps of a program, with one for each norm whose intermediate results only it reads.

    Args:
        steps: of the program, in order, in which each name stands for one value.
        outputs: names that the program gives out.
    """
    return fused(steps, outputs, _norm, _at_once)


def _norm(graph: Graph, root: Step) -> _Norm | None:
    """The norm that an inverse root belongs to."""
    if not isinstance(root, Call) or root.kind != "rsqrt" or "epsilon" in root.late:
        return None
    mean = graph.maker(argument(root, "x"), "reduce_mean")
    square = graph.maker(argument(mean, "x"), "mul") if mean else None
    scaled = graph.reader(root, "mul")
    if mean is None or square is None or scaled is None or not _is_of_last(mean):
        return None
    wide = argument(square, "x")
    cast = graph.maker(wide, "cast", reads=3)
    back = graph.reader(scaled, "cast")
    if cast is None or back is None or other(square, wide) != wide:
        return None
    weighted = graph.reader(back, "mul")
    if weighted is None or other(scaled, result(root)) != wide:
        return None
    source, gamma = argument(cast, "x"), other(weighted, result(back))
    kinds = [kind for step in (cast, square, mean, root, scaled) for _, kind in step.outputs]
    halves = [graph.kind(entry) for entry in (source, result(back), result(weighted))]
    casts = [step.fixed.get("dtype") for step in (cast, back)]
    if casts != ["fp32", "fp16"] or set(kinds) != {"FLOAT32"}:
        return None
    if set(halves) != {"FLOAT16"} or not hasattr(gamma, "shape"):
        return None
    found = [cast, square, mean, root, scaled, back, weighted]
    return _Norm(source, found, root.fixed.get("epsilon"), gamma)


def _is_of_last(mean: Call) -> bool:
    """Whether a mean is over the last axis, which it keeps."""
    return mean.fixed.get("axes") == [-1] and bool(mean.fixed.get("keep_dims"))


def _at_once(norm: _Norm) -> Step:
    from zoo.formats.coreml.execute.kernels.fused import rms_norm

    fixed = {"gamma": norm.gamma}
    if norm.epsilon is not None:
        fixed["epsilon"] = norm.epsilon
    return Call("rms_norm", rms_norm, fixed, {"x": (norm.source, None)}, norm.steps[-1].outputs)
