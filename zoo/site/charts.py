"""Where the marks of a chart go. Widths are percentages, so that text keeps its size on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

HEIGHT, TOP, BOTTOM = 300, 28, 44
LEFT, RIGHT = 0.0, 100.0
LINE = 17
"""Pixels between the middles of two labels that don't touch."""


@dataclass(frozen=True)
class Point:
    """A labeled point to place: its value on both axes."""

    label: str
    x: float
    y: float
    kind: str = ""


@dataclass(frozen=True)
class Mark:
    """A placed point: `x` in percent of the width, `y` in pixels, and where its label goes."""

    label: str
    kind: str
    x: float
    y: float
    label_y: float
    left: bool


@dataclass(frozen=True)
class Tick:
    """A labeled place on an axis, in percent (x) or pixels (y)."""

    at: float
    value: float


@dataclass(frozen=True)
class Scatter:
    """A chart of points: marks, and ticks of both axes."""

    marks: tuple[Mark, ...]
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    height: int = HEIGHT
    top: int = TOP
    floor: int = HEIGHT - BOTTOM


def scatter(points: Sequence[Point]) -> Scatter:
    """Places for points, with labels that do not cover each other.

    Args:
        points: at least one; values are finite.
    """
    xs = _ticks([0.0, *(p.x for p in points)], 4)
    ys = _ticks([p.y for p in points], 4)

    def across(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - xs[0]) / (xs[-1] - xs[0])

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - ys[0]) / (ys[-1] - ys[0])

    marks: list[Mark] = []
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: (-p.y, p.x)):
        x, y = across(point.x), down(point.y)
        label = y
        while any(abs(label - other) < LINE and abs(x - place) < 45 for place, other in taken):
            label += LINE
        taken.append((x, label))
        marks.append(Mark(point.label, point.kind, x, y, label, x > 55))
    return Scatter(
        tuple(marks),
        tuple(Tick(across(v), v) for v in xs),
        tuple(Tick(down(v), v) for v in ys),
    )


def _ticks(values: Sequence[float], about: int) -> list[float]:
    """Round numbers from below the least value to above the greatest."""
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    rough = (high - low) / about
    unit = 10.0 ** floor(log10(rough))
    step = next((unit * m for m in (1, 2, 2.5, 5) if unit * m >= rough), unit * 10)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [step * n for n in range(first, last + 1)]
