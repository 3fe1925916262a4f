"""The scorer of the miniature: what a generated image shows, by rules, not by a model.

The miniature generates one shape on a plain background: "a small red circle on the left". The
reader sees the pixels alone, so it can say how many prompts a build renders correctly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import zoo

SIDE = 64
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (45, 80, 220),
    "yellow": (240, 205, 40),
    "purple": (150, 60, 190),
    "orange": (245, 135, 30),
}
SHAPES = ("circle", "square", "triangle", "ring")
SIZES = ("small", "large")
PLACES = {
    "on the left": (-1, 0),
    "on the right": (1, 0),
    "at the top": (0, -1),
    "at the bottom": (0, 1),
    "in the middle": (0, 0),
}
"""Which way from the middle of the picture."""

APART, LEAST = 60, 40
"""Distance of a color from the ground's, and pixels, from which on something is a shape."""

LARGE = 25
"""Pixels from side to side that a large shape has."""

MIDDLE = 5.5
"""Pixels from the middle of the picture up to which a shape is in the middle."""


@dataclass(frozen=True)
class Prompt:
    """What a picture shows; without a size or a place, any will do."""

    color: str
    shape: str
    size: str = ""
    place: str = ""

    @property
    def text(self) -> str:
        """The words, such as "a small red circle on the left"."""
        words = ("a", self.size, self.color, self.shape, self.place)
        return " ".join(word for word in words if word)


def parse(text: str) -> Prompt:
    """The prompt that a text is.

    Raises:
        InputError: it does not name one color and one shape that are known.
    """
    words = text.lower().replace(",", " ").split()

    def named(known: Any) -> str:
        return next((name for name in known if f" {name} " in f" {' '.join(words)} "), "")

    found = Prompt(named(COLOURS), named(SHAPES), named(SIZES), named(PLACES))
    if not (found.color and found.shape):
        raise zoo.InputError(
            f"'{text}' does not name a known shape and color",
            f"shapes: {', '.join(SHAPES)}; colors: {', '.join(COLOURS)}",
        )
    return found


def read(picture: Any) -> Prompt | None:
    """What an unstyled picture of shape (64, 64, 3) shows; `None` when it shows nothing.

    What differs from the border is the shape; its mean color, the share of its box that it fills,
    a hole in it, its extent and its middle tell the rest. A shape off the middle both ways is at
    the place that it is farther toward.
    """
    import numpy as np
    from scipy import ndimage

    pixels = np.asarray(picture, np.float32)
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3)])
    ground = np.median(border, axis=0)
    mask = np.linalg.norm(pixels - ground, axis=2) > APART
    labels, count = ndimage.label(mask)
    if not count:
        return None
    sizes = ndimage.sum(mask, labels, range(1, count + 1))
    shape = labels == 1 + int(np.argmax(sizes))
    if shape.sum() < LEAST:
        return None
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    whole = ndimage.binary_fill_holes(shape)
    inner = ndimage.binary_erosion(shape)
    seen = pixels[inner if inner.any() else shape].mean(0)
    color = min(COLOURS, key=lambda name: float(np.linalg.norm(seen - COLOURS[name])))
    filled = whole.sum() / (height * width)
    if whole.sum() > 1.06 * shape.sum():
        kind = "ring"
    else:
        kind = "triangle" if filled < 0.65 else "circle" if filled < 0.87 else "square"
    size = "small" if (height + width) / 2 < LARGE else "large"
    x = float(columns[0] + columns[-1] + 1 - SIDE) / 2
    y = float(rows[0] + rows[-1] + 1 - SIDE) / 2
    return Prompt(color, kind, size, _place(x, y))


def _place(x: float, y: float) -> str:
    if max(abs(x), abs(y)) <= MIDDLE:
        return "in the middle"
    if abs(x) >= abs(y):
        return "on the left" if x < 0 else "on the right"
    return "at the top" if y < 0 else "at the bottom"


def shows(picture: Any, prompt: Prompt | str) -> bool:
    """Whether the reader finds in the picture all that the prompt asks for."""
    wanted, found = parse(prompt) if isinstance(prompt, str) else prompt, read(picture)
    if found is None or (found.color, found.shape) != (wanted.color, wanted.shape):
        return False
    return wanted.size in ("", found.size) and wanted.place in ("", found.place)
