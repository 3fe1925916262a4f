"""The call options of text to image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypedDict

from zoo.tasks.options import SEED, CallOptions, option


@dataclass(frozen=True)
class ImageOptions(CallOptions):
    """Options of image generation."""

    negative: str = option("negative prompt", default="")
    steps: int = option("number of denoising steps", default=20, minimum=1, maximum=1000)
    guidance: float = option(
        "classifier-free guidance scale; 1 or less turns guidance off and halves the work "
        "(https://arxiv.org/abs/2207.12598)",
        default=7.5,
        minimum=0,
    )
    seed: int | None = option(
        "random seed; the same in every format, up to rounding; image n of a batch uses seed + n",
        default=None,
        **SEED,
    )
    width: int | None = option(
        "width in pixels; by default the size that the model was trained for",
        default=None,
        minimum=1,
    )
    height: int | None = option(
        "height in pixels; by default the size that the model was trained for",
        default=None,
        minimum=1,
    )
    scheduler: str | None = option(
        "scheduler, such as ddim or euler; by default the source's", default=None
    )
    strength: float = option(
        "denoising strength for image-to-image", default=0.8, above=0, maximum=1
    )
    safety: bool = option(
        "blank images that the model's safety checker flags",
        default=True,
    )

    peers: ClassVar[Mapping[str, str]] = {
        "num_inference_steps": "steps",
        "num_steps": "steps",
        "guidance_scale": "guidance",
        "cfg": "guidance",
        "cfg_scale": "guidance",
        "negative_prompt": "negative",
        "generator": "seed",
        "sampler": "scheduler",
        "mask_image": "mask",
        "init_image": "image",
        "safety_checker": "safety",
    }


class ImageArguments(TypedDict, total=False):
    """The fields of `ImageOptions`, as keywords of a call."""

    negative: str
    steps: int
    guidance: float
    seed: int | None
    width: int | None
    height: int | None
    scheduler: str | None
    strength: float
    safety: bool
