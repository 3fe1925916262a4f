"""Drawn pictures without end, what each shows in words, and a reader that tells it again.

    python recipes/training/pictures.py --seed 1 --count 24 --out FOLDER

writes pictures, each with its prompt and with what the reader makes of it.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

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
SIZES = {"small": (8.0, 10.5), "large": (15.0, 18.0)}
"""From the middle of a shape to its edge, in pixels."""

PLACES = {
    "on the left": (-1, 0),
    "on the right": (1, 0),
    "at the top": (0, -1),
    "at the bottom": (0, 1),
    "in the middle": (0, 0),
}
"""Which way from the middle of the picture."""

STYLES = ("outline", "night")
GROUND, DARK = (238, 236, 230), (22, 24, 40)
HELD_OUT = 200
"""Prompts that are never trained on."""

FINE = 4
"""Pictures are drawn so many times larger."""


@dataclass(frozen=True)
class Prompt:
    """What a picture shows; without a size or a place, any will do."""

    colour: str
    shape: str
    size: str = ""
    place: str = ""

    @property
    def text(self) -> str:
        """The words, such as "a small red circle on the left"."""
        words = ("a", self.size, self.colour, self.shape, self.place)
        return " ".join(word for word in words if word)


def prompts() -> list[Prompt]:
    """Every prompt there is, in an order without meaning that is always the same."""
    every = [Prompt(*parts) for parts in product(COLOURS, SHAPES, ("", *SIZES), ("", *PLACES))]
    random.Random(0).shuffle(every)
    return every


def held_out() -> list[Prompt]:
    """The prompts that are never trained on."""
    return prompts()[:HELD_OUT]


def draw(prompt: Prompt, rng: random.Random, style: str = "") -> np.ndarray:
    """A picture of the prompt: uint8 of shape (64, 64, 3)."""
    radius = rng.uniform(*SIZES[prompt.size or rng.choice(list(SIZES))])
    room = SIDE / 2 - radius - 2
    x, y = (
        SIDE / 2 + _offset(toward, room, rng)
        for toward in (PLACES[prompt.place] if prompt.place else (None, None))
    )
    ground = DARK if style == "night" else GROUND
    colour = COLOURS[prompt.colour]
    look = {"fill": colour, "outline": colour, "width": 0}
    if style == "outline":
        look = {"fill": ground, "outline": colour, "width": 3 * FINE}
    image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), ground)
    pen = ImageDraw.Draw(image)
    box = [(v + d) * FINE for d in (-radius, radius) for v in (x, y)]
    if prompt.shape == "square":
        part = 0.88 * radius
        pen.rectangle([(v + d) * FINE for d in (-part, part) for v in (x, y)], **look)
    elif prompt.shape == "triangle":
        corners = ((0, -1), (0.95, 0.75), (-0.95, 0.75))
        points = [((x + a * radius) * FINE, (y + b * radius) * FINE) for a, b in corners]
        pen.polygon(points, **look)
    elif prompt.shape == "ring":
        width = 3 * FINE if style == "outline" else round(0.4 * radius * FINE)
        pen.ellipse(box, fill=ground, outline=colour, width=width)
    else:
        pen.ellipse(box, **look)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _offset(toward: int | None, room: float, rng: random.Random) -> float:
    if toward is None:
        return rng.uniform(-room, room)
    if toward == 0:
        return rng.uniform(-3, 3)
    return toward * rng.uniform(min(9, room - 1), room)


def read(picture: np.ndarray) -> Prompt | None:
    """What an unstyled picture of shape (64, 64, 3) shows; `None` when it shows nothing.

    The rules know of no model: what differs from the border is the shape; its mean colour, the
    share of its box that it fills, a hole in it, its extent and its middle tell the rest. A shape
    off the middle both ways is at the place that it is farther toward.
    """
    pixels = np.asarray(picture, np.float32)
    border = np.concatenate([pixels[:2].reshape(-1, 3), pixels[-2:].reshape(-1, 3)])
    ground = np.median(border, axis=0)
    mask = np.linalg.norm(pixels - ground, axis=2) > 60
    labels, count = ndimage.label(mask)
    if not count:
        return None
    sizes = ndimage.sum(mask, labels, range(1, count + 1))
    shape = labels == 1 + int(np.argmax(sizes))
    if shape.sum() < 40:
        return None
    rows, columns = np.flatnonzero(shape.any(1)), np.flatnonzero(shape.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    whole = ndimage.binary_fill_holes(shape)
    inner = ndimage.binary_erosion(shape)
    seen = pixels[inner if inner.any() else shape].mean(0)
    colour = min(COLOURS, key=lambda name: float(np.linalg.norm(seen - COLOURS[name])))
    filled = whole.sum() / (height * width)
    if whole.sum() > 1.06 * shape.sum():
        kind = "ring"
    else:
        kind = "triangle" if filled < 0.65 else "circle" if filled < 0.87 else "square"
    size = "small" if (height + width) / 2 < 25 else "large"
    x = (columns[0] + columns[-1] + 1 - SIDE) / 2
    y = (rows[0] + rows[-1] + 1 - SIDE) / 2
    return Prompt(colour, kind, size, _place(x, y))


def _place(x: float, y: float) -> str:
    if max(abs(x), abs(y)) <= 5.5:
        return "in the middle"
    if abs(x) >= abs(y):
        return "on the left" if x < 0 else "on the right"
    return "at the top" if y < 0 else "at the bottom"


def shows(picture: np.ndarray, prompt: Prompt) -> bool:
    """Whether the reader finds in the picture all that the prompt asks for."""
    found = read(picture)
    if found is None or (found.colour, found.shape) != (prompt.colour, prompt.shape):
        return False
    return prompt.size in ("", found.size) and prompt.place in ("", found.place)


def samples(seed: int, style: str = "") -> Iterator[tuple[np.ndarray, str]]:
    """Pictures with their prompts, without end; none of a held-out prompt."""
    rng, known = random.Random(seed), prompts()[HELD_OUT:]
    while True:
        prompt = rng.choice(known)
        yield draw(prompt, rng, style), prompt.text


def main() -> None:
    """Draw some pictures."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--style", choices=STYLES, default="")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    stream = samples(options.seed, options.style)
    for number, (picture, text) in zip(range(options.count), stream, strict=False):
        Image.fromarray(picture).save(options.out / f"{number + 1:02}.png")
        print(f"{text}: {found.text if (found := read(picture)) else 'nothing'}")


if __name__ == "__main__":
    main()
