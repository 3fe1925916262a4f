"""Endless rendered images, what each shows in words, and what the reader makes of them.

    python training/pictures.py --seed 1 --count 24 --out FOLDER

writes pictures, each with its prompt and with what `zoo_stable_diffusion.reader` sees in it.
"""

import argparse
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from zoo_stable_diffusion.reader import COLOURS, PLACES, SHAPES, SIDE, Prompt, read

SIZES = {"small": (8.0, 10.5), "large": (15.0, 18.0)}
"""From the middle of a shape to its edge, in pixels."""

STYLES = ("outline", "ink")
"""The edge alone, and everything in the blue of ink."""

GROUND = (238, 236, 230)
HELD_OUT = 200
"""Prompts that are never trained on."""

FINE = 4
"""Images are rendered so many times larger, then reduced."""


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
    ground, color = GROUND, COLOURS["blue" if style == "ink" else prompt.color]
    look = {"fill": color, "outline": color, "width": 0}
    if style == "outline":
        look = {"fill": ground, "outline": color, "width": 3 * FINE}
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
        pen.ellipse(box, fill=ground, outline=color, width=width)
    else:
        pen.ellipse(box, **look)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _offset(toward: int | None, room: float, rng: random.Random) -> float:
    if toward is None:
        return rng.uniform(-room, room)
    if toward == 0:
        return rng.uniform(-3, 3)
    return toward * rng.uniform(min(9, room - 1), room)


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
