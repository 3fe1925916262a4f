"""Arithmetic of shapes in plain Python.

A program with flexible shapes computes where its slices begin and end: dozens of operations on
one integer or a few. Numbers that come from shapes alone are kept as `int` and `list[int]` here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import add, mul, sub
from typing import Any

from zoo.formats.coreml.execute.steps import Call
from zoo.formats.coreml.package.proto import Name

PAIRS: dict[str, Callable[[int, int], int]] = {"add": add, "sub": sub, "mul": mul}

HELD = ("INT32", "INT16", "UINT16")
"""Types of integers that are held as those of Python."""

Compute = Callable[..., Any]
Plan = tuple[int, Compute, list[Any]]


def plan_host(step: Call, ranks: Mapping[str, int]) -> Plan | None:
    """How to compute a step in plain Python, if it is arithmetic of shapes.

    Args:
        step: the operation.
        ranks: 0 for an integer and 1 for a list, of each name that is held so.

    Returns: the rank of the result, what computes it, and its arguments, each a name, a constant,
    or a list of both; `None` for another operation.
    """
    if len(step.outputs) != 1 or step.outputs[0][1] not in HELD:
        return None
    late = {key: value for key, (value, _) in step.late.items()}
    if step.kind == "shape":
        return 1, _shape, [late["x"]] if isinstance(late.get("x"), Name) else []
    if any(name not in ranks for name in step.reads):
        return None
    given = {**step.fixed, **late}
    if step.kind == "cast":
        wrap = _short if step.outputs[0][1] == "INT16" else _same
        return ranks[given["x"].name], wrap, [given["x"]]
    if step.kind == "gather":
        return _gather(given, ranks)
    if (
        step.kind == "expand_dims"
        and _rank(given["x"], ranks) == 0
        and given["axes"] in ([0], [-1])
    ):
        return 1, _listed, [given["x"]]
    if step.kind == "concat" and given.get("axis") in (0, -1) and not given.get("interleave"):
        values = [_plain(value) for value in given["values"]]
        if all(_rank(value, ranks) is not None for value in values):
            return 1, _joined, [values]
    if step.kind in PAIRS and all(_rank(given[key], ranks) == 0 for key in ("x", "y")):
        return 0, PAIRS[step.kind], [_plain(given["x"]), _plain(given["y"])]
    return None


def _gather(given: Mapping[str, Any], ranks: Mapping[str, int]) -> Plan | None:
    places = _plain(given["indices"])
    whole = _rank(given["x"], ranks) == 1 and isinstance(places, int)
    if not whole or given.get("axis", 0) not in (0, -1) or given.get("batch_dims", 0):
        return None
    return 0, _entry, [_plain(given["x"]), places]


def _plain(value: Any) -> Any:
    if isinstance(value, Name) or not hasattr(value, "tolist"):
        return value
    return value.tolist() if value.dim() <= 1 and not value.is_floating_point() else None


def _rank(value: Any, ranks: Mapping[str, int]) -> int | None:
    if isinstance(value, Name):
        return ranks.get(value.name)
    plain = _plain(value)
    if isinstance(plain, list):
        return 1
    return 0 if isinstance(plain, int) else None


def _shape(x: Any) -> list[int]:
    return list(x.shape)


def _entry(x: list[int], at: int) -> int:
    return x[at]


def _listed(x: int) -> list[int]:
    return [x]


def _joined(values: Sequence[int | list[int]]) -> list[int]:
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
        else:
            found += value
    return found


def _same(x: Any) -> Any:
    return x


def _short(x: Any) -> Any:
    """Integers of 16 bits, which begin again where they end."""
    if isinstance(x, list):
        return [_short(number) for number in x]
    return (x + (1 << 15)) % (1 << 16) - (1 << 15)
