"""The page that `zoo cost --html` writes: one file, without scripts, that a browser opens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from zoo.reports.costs import Cost, Operation
from zoo.site.pages import filled

TOKENS = re.compile(r"(\d[\d,]*) tokens?\b")
"""How many tokens a call of a language model takes, as its case says."""

MACS = (("M2, M3", 100), ("M4", 120), ("M4 Pro", 273), ("M4 Max", 546), ("M3 Ultra", 819))
"""Gigabytes per second of the memory of Macs with their largest GPU, by
https://support.apple.com/specs."""

TABLE = "gather"
"""The kind of operation that reads a few rows of its weights, and not all."""

ENOUGH = 1000
"""Weights below which padding and tables would hide what each of them takes."""

FEW, MANY = 10, 100
"""Operations for each byte, below which memory limits any GPU, and above which it limits none."""


@dataclass(frozen=True)
class Row:
    """A row of a table, with its bars in percent of the longest."""

    operation: Operation
    weights: float
    traffic: float
    flops: float

    @property
    def bits(self) -> str:
        """Bits that each weight takes on disk, where there are enough to tell."""
        operation = self.operation
        if operation.parameters < ENOUGH:
            return "-"
        return f"{8 * operation.weight_bytes / operation.parameters:.2f}"


@dataclass(frozen=True)
class Conclusion:
    """What the sums mean for speed.

    Attributes:
        unit: what a call makes, `token` or `call`.
        units: how many of them a call makes.
        read: bytes of weights that a call reads.
        intensity: operations for each byte that is read or moved.
        limit: what limits the speed: `memory`, `arithmetic` or `either`.
        bounds: by Mac, the most units per second that its memory allows.
    """

    unit: str
    units: int
    read: int
    intensity: float
    limit: str
    bounds: tuple[tuple[str, int, float], ...]


def page(name: str, cost: Cost) -> str:
    """The whole page.

    Args:
        name: what was asked for.
        cost: what to show.
    """
    found = conclusion(cost)
    several = len({operation.part for operation in cost.operations}) > 1
    return filled(
        "cost.html",
        name=f"{cost.ref}/{cost.build}" if cost.ref else name,
        cost=cost,
        total=_rows([cost.total], found)[0],
        found=found,
        several=several,
        measured=any(operation.device for operation in cost.operations),
        tables=[
            ("layers", "By layer", "Layer", _rows(cost.by_layer(), found), several),
            ("kinds", "By kind of operation", "Kind", _rows(cost.by_kind(), found), False),
        ],
        operations=_rows(cost.operations, found),
        version=version("zoo-ml"),
    )


def conclusion(cost: Cost) -> Conclusion:
    """What the sums of a cost mean for speed."""
    read = sum(o.weight_bytes for o in cost.operations if o.kind != TABLE)
    total = cost.total
    intensity = total.flops / max(1, read + total.activation_bytes)
    tokens = TOKENS.match(cost.case)
    units = int(tokens[1].replace(",", "")) if tokens else 1
    return Conclusion(
        unit="token" if tokens else "call",
        units=units,
        read=read,
        intensity=intensity,
        limit="memory" if intensity < FEW else "arithmetic" if intensity > MANY else "either",
        bounds=tuple((mac, speed, units * speed * 1e9 / read) for mac, speed in MACS)
        if read
        else (),
    )


def _rows(operations: Sequence[Operation], found: Conclusion) -> list[Row]:
    """The rows of a table, the most expensive first: by what limits the speed."""

    def expense(operation: Operation) -> tuple[float, int, int]:
        moved = operation.weight_bytes + operation.activation_bytes
        main = operation.flops if found.limit == "arithmetic" else moved
        return operation.share or 0, main, moved + operation.flops

    longest = max((o.weight_bytes + o.activation_bytes for o in operations), default=0) or 1
    busiest = max((o.flops for o in operations), default=0) or 1
    return [
        Row(
            o,
            100 * o.weight_bytes / longest,
            100 * o.activation_bytes / longest,
            100 * o.flops / busiest,
        )
        for o in sorted(operations, key=expense, reverse=True)
    ]
