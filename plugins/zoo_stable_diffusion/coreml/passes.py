"""What the passes of Core ML builds mean for Stable Diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import zoo
from zoo.formats.coreml import FULL, PALETTE_BITS, Mixed, Passes, Role, Scheme, is_branch
from zoo_stable_diffusion.config import DiffusionConfig
from zoo_stable_diffusion.programs import DECODER, ENCODER
from zoo_stable_diffusion.safety import CHECKER


@dataclass(frozen=True)
class MixedDrawing(Mixed):
    """As Stable Diffusion measures it: on prompts, one a line.

    The budget is that of the U-Net.
    """

    prompts: int = field(
        default=4, metadata={"doc": "lines of the file to generate from", "minimum": 1}
    )
    text_encoder: int = field(
        default=8,
        metadata={
            "doc": "bits of the text encoders, or 16 to keep them; embeddings have 8 or more"
        },
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        if self.text_encoder not in (known := (*PALETTE_BITS, FULL)):
            yield "text_encoder", f"must be one of {known}, not {self.text_encoder}"


def read_prompts(recipe: zoo.Recipe, options: MixedDrawing) -> list[str]:
    """The prompts to measure on, from the file beside the recipe.

    Raises:
        RecipeError: the file is not there, or has none.
    """
    path = recipe.home / options.calibration
    if not path.is_file():
        raise zoo.RecipeError(f"'{recipe.ref}' calibrates on {path}, which does not exist")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    if not (prompts := [line for line in lines if line]):
        raise zoo.RecipeError(
            f"'{recipe.ref}' calibrates on {path}, which is empty",
            hint="write prompts into it, one a line",
        )
    return prompts[: options.prompts]


def require_measurable(recipe: zoo.Recipe, config: DiffusionConfig, *, whole: bool) -> None:
    """Refuse what `mixed` cannot ask: a U-Net in chunks, or one that is given more than prompts.

    Raises:
        RecipeError: with what to do instead.
    """
    if not whole:
        raise zoo.RecipeError(
            f"'{recipe.ref}' asks for 'mixed', which measures a U-Net in one package, and its own "
            "is in chunks",
            hint="ask for 'palettize', or for one package",
        )
    if config.given > config.channels:
        raise zoo.RecipeError(
            f"'{recipe.ref}' asks for 'mixed', which generates from prompts alone, and is made for "
            "inpainting",
            hint="ask for 'palettize'",
        )


KEPT = tuple(f"{name}/" for name in (DECODER, ENCODER, CHECKER))
"""What the names of weights begin with that no pass changes."""


class WithoutVAE(Passes):
    """Passes that leave the autoencoder as it is: what it loses is seen in every picture.

    The safety checker is left too, which thousandths decide, and so are styles: what they add is
    small, and learned beside weights that are not compressed.
    """

    def __init__(self, passes: Passes) -> None:
        super().__init__(passes.store, passes.prune, passes.mixed)

    def scheme(self, role: Role, name: str) -> Scheme:
        if name.startswith(KEPT) or is_branch(name):
            return Scheme()
        return super().scheme(role, name)
