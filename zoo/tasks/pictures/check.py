"""The check of text-to-image models: how far a build's images diverge from its source's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo.errors import RecipeError
from zoo.tasks.examples import MOST, Example, collected, keep
from zoo.tasks.metrics import psnr

if TYPE_CHECKING:
    from zoo.tasks.model import Model
    from zoo.tasks.pictures.model import ImageModel
    from zoo.tasks.task import Scorer

WHITE = 255
FEW = 2
"""Prompts that are used when no scorer asks for all of them."""


def measure_pictures(
    inputs: list[Path],
    source: Callable[[], Model],
    build: Callable[[], Model],
    scorer: Scorer | None = None,
) -> dict[str, float]:
    """Agreement of two models that generate from the same prompts from the same seeds.

    Args:
        inputs: files with a prompt on each line. Without a scorer, a few are enough.
        source, build: load the models.
        scorer: judges a picture by its prompt.

    Returns:
        NAME_psnr: of what each component makes of the same inputs, in decibels; the peak is the
            largest value of the source's.
        picture_psnr: of all pictures together.
        worst_picture_psnr: of the one that differs most.
        scorer, source_scorer: the share of prompts that are rendered correctly.
        scorer_loss: by how much the build's share is less.
        pictures: how many were generated.

    Raises:
        RecipeError: the files have no prompt.
    """
    import numpy as np

    lines = [line for path in inputs for line in path.read_text(encoding="utf-8").splitlines()]
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise RecipeError(f"the check's inputs have no prompt: {', '.join(map(str, inputs))}")
    if scorer is None:
        prompts = prompts[:FEW]
    wanted, right = _drawn(source, prompts)
    found, drawn = _drawn(build, prompts)
    if collected():
        for prompt, image, wished in list(zip(prompts, drawn, right, strict=True))[:MOST]:
            keep(Example(prompt, image=_png(image), expected_image=_png(wished)))
    figures = {f"{name}_psnr": psnr(found[name], wanted[name]) for name in wanted}
    figures["picture_psnr"] = psnr(np.stack(drawn), np.stack(right), WHITE)
    figures["worst_picture_psnr"] = min(
        psnr(one, other, WHITE) for one, other in zip(drawn, right, strict=True)
    )
    if scorer is not None:
        share, source_share = (
            float(np.mean(list(map(scorer, pictures, prompts)))) for pictures in (drawn, right)
        )
        figures |= {"scorer": share, "source_scorer": source_share}
        figures["scorer_loss"] = source_share - share
    return {**figures, "pictures": float(len(prompts))}


def _drawn(load: Callable[[], Model], prompts: list[str]) -> tuple[dict[str, Any], list[Any]]:
    """What the components make of the first prompt, and the picture of each, one after another."""
    import numpy as np

    with cast("ImageModel", load()) as model:
        parts = dict(model.component_outputs(prompts[0]))
        return parts, [
            np.asarray(model.generate(prompt, seed=seed, safety=False))
            for seed, prompt in enumerate(prompts)
        ]


def _png(pixels: Any) -> bytes:
    """An image as a PNG file."""
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
