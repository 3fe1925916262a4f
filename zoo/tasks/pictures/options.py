"""The call options of text to image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypedDict

from zoo.tasks.options import SEED, CallOptions, option


@dataclass(frozen=True)
class ImageOptions(CallOptions):
    """How an image is generated."""

    negative: str = option("what the image should be away from", default="")
    steps: int = option(
        "steps of denoising, from noise to image", default=20, minimum=1, maximum=1000
    )
    guidance: float = option(
        "how much more the prompt counts than its absence; 1 or less leaves that out and halves "
        "the work (https://arxiv.org/abs/2207.12598)",
        default=7.5,
        minimum=0,
    )
    seed: int | None = option(
        "same seed, same image, in every format up to rounding; image n of a batch is that of "
        "seed + n",
        default=None,
        **SEED,
    )
    width: int | None = option(
        "in pixels; by default what the model was trained for", default=None, minimum=1
    )
    height: int | None = option(
        "in pixels; by default what the model was trained for", default=None, minimum=1
    )
    scheduler: str | None = option(
        "the sampler, such as ddim or euler; by default the source's own", default=None
    )
    strength: float = option(
        "how much of a given image is generated again", default=0.8, above=0, maximum=1
    )
    safety: bool = option(
        "whether an image that the model's safety checker flags, if it has one, is black",
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
