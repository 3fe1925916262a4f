"""The pass `mixed` of Stable Diffusion: the bits of each weight of the U-Net, by measured loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import zoo
from zoo.formats.coreml import (
    FULL,
    Choice,
    Constants,
    Loss,
    Package,
    Passes,
    Program,
    ReferenceProgram,
    choose_for_package,
    weights_of,
)
from zoo.tasks import ImageOptions
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.coreml.components import SUFFIX
from zoo_stable_diffusion.coreml.model import CoreMLStableDiffusion
from zoo_stable_diffusion.coreml.passes import MixedDrawing, read_prompts, require_measurable
from zoo_stable_diffusion.programs import UNET

STEPS, SEED = 8, 0
"""Of the calibration images, generated once with uncompressed weights: at most so many steps."""

POINTS, NOISY = 4, 1.5
"""How often at least the U-Net is asked again, and the power by which the steps of that gather at
the noisy end."""

ROUNDS = 0
"""Of exchanges: on a trained miniature they made the loss smaller, and final pictures no nearer."""

EMBEDDINGS = 8
"""The fewest bits of the text encoders' embeddings."""

POSITIONS = 1024
"""Of latents that go through the U-Net together, at least those of one point."""

Inputs = Mapping[str, Any]


def choose_bits(
    recipe: zoo.Recipe, options: MixedDrawing, converted: Path, progress: zoo.Progress
) -> tuple[Passes, Choice]:
    """The passes that store each weight in the bits chosen for it, and what was measured.

    The prompts are generated once. The recorded U-Net inputs are replayed for each weight
    and number of bits, so its weights must fit this machine's memory twice over, in float32.

    Args:
        recipe: the file with the prompts is beside it; its `defaults` are the call options.
        options: the pass.
        converted: the packages, in float16.
        progress: receives the trials.

    Raises:
        RecipeError: there are no prompts, the U-Net is not one package that generates from
            prompts alone, or no choice fits the budget.
    """
    prompts = read_prompts(recipe, options)
    package = converted / f"{UNET}{SUFFIX}"
    require_measurable(recipe, read_diffusion_config(converted), whole=package.is_dir())
    call = ImageOptions.of(recipe.defaults)
    call = replace(call, steps=min(call.steps, STEPS), seed=SEED)
    points = points_of(converted, prompts, call, progress)
    constants = Constants(Package(package))
    program = ReferenceProgram(package, constants=constants, mode="fp32", bounded=False)
    store, choice = choose_for_package(
        constants,
        loss_of(program, points, call.guidance),
        progress,
        bits_per_weight=options.bits_per_weight,
        choices=options.choices,
        group_size=options.group_size,
        target=options.target,
        rounds=ROUNDS,
        part=UNET,
    )
    layers = {"*": FULL, **_text_encoders(converted, options.text_encoder), **choice.bits}
    return Passes(replace(store, layers=layers)), choice


def loss_of(program: Program, points: Sequence[Inputs], guidance: float) -> Loss:
    """Measures the mean squared error of the noise that is found, relative to its own square.

    Of guided noise, in which errors that the prompt does not change are not made larger.

    Args:
        program: of the U-Net, with its weights whole.
        points: what it is asked: rows of one picture, first away from the negative prompt.
        guidance: of the generation.
    """
    import numpy as np

    high, wide = points[0]["sample"].shape[-2:]
    count = max(1, POSITIONS // (high * wide * len(points[0]["sample"])))
    batches = [_batch(points[start : start + count]) for start in range(0, len(points), count)]

    def noise() -> Any:
        found = np.concatenate([program.predict(batch)["noise_pred"] for batch in batches])
        if len(found) == len(points):
            return found
        away, toward = found[::2], found[1::2]
        return away + guidance * (toward - away)

    wanted = noise()
    sizes = np.square(wanted).mean((1, 2, 3))

    def loss() -> float:
        return float((np.square(noise() - wanted).mean((1, 2, 3)) / sizes).mean())

    return loss


def _batch(points: Sequence[Inputs]) -> Inputs:
    import numpy as np

    return {name: np.concatenate([point[name] for point in points]) for name in points[0]}


class Asked:
    """A program that keeps what it is asked."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.inputs: list[Inputs] = []

    def make_state(self) -> Any:
        return self.program.make_state()

    def predict(self, inputs: Any, state: Any = None) -> dict[str, Any]:
        self.inputs.append(inputs)
        return self.program.predict(inputs, state)


def points_of(
    converted: Path, prompts: Sequence[str], options: ImageOptions, progress: zoo.Progress
) -> list[Inputs]:
    """The inputs of the U-Net at some steps while the prompts are generated.

    From the first step to the last, the noisy ones closer together: those decide what a picture
    shows. Each is of the next prompt.
    """
    model = CoreMLStableDiffusion(converted, mode="fp32")
    model.unet = asked = Asked(model.unet)
    ways = []
    for number, prompt in enumerate(prompts):
        asked.inputs = []
        for _ in model.denoise([prompt], options, None, None):
            pass
        ways.append(asked.inputs)
        progress.update(number + 1, len(prompts), "prompts")
    model.close()
    count = max(POINTS, len(prompts))
    shares = [(number / (count - 1)) ** NOISY for number in range(count)]
    pairs = zip(shares, cycle(ways), strict=False)
    return [way[round(share * (len(way) - 1))] for share, way in pairs]


def _text_encoders(converted: Path, bits: int) -> dict[str, int]:
    """The bits of their weights, by patterns."""
    found = {}
    for name in read_diffusion_config(converted).encoders:
        found[f"{name}/*"] = bits
        for weight in weights_of(Package(converted / f"{name}{SUFFIX}")).values():
            if weight.role == "embeddings":
                found[f"{name}/{weight.name}"] = max(bits, EMBEDDINGS)
    return found
