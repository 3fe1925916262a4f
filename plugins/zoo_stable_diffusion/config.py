"""What the files of a pipeline folder, as diffusers saves it, say of a Stable Diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json

KINDS = (
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
)
WEIGHTS = {
    "text_encoder": "model",
    "text_encoder_2": "model",
    "safety_checker": "model",
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}
"""How the weights of each component are named, without the ending."""


@dataclass(frozen=True)
class DiffusionConfig:
    """The shape of a Stable Diffusion.

    Attributes:
        encoders: names of the text encoders, one or two.
        factor: pixels to a side of one latent.
        side: of a picture as the model was trained, in pixels.
        channels: of a latent picture.
        given: channels that the U-Net takes; more than `channels` in a model made for inpainting.
        scale: what latents are multiplied by before the U-Net.
        sized: whether the U-Net is told the size of the picture (SDXL).
        zero_empty: whether an empty negative prompt is zeros in place of its encoding.
        checked: whether there is a safety checker.
        scheduler: the class in diffusers of the source's own sampler.
        schedule: its config.
    """

    encoders: tuple[str, ...]
    factor: int
    side: int
    channels: int
    given: int
    scale: float
    sized: bool
    zero_empty: bool
    checked: bool
    scheduler: str
    schedule: dict[str, Any]


def read_diffusion_config(folder: Path) -> DiffusionConfig:
    """The shape of the pipeline in `folder`.

    Raises:
        IntegrityError: a config is missing, damaged, or of a model that is not of this family.
    """
    if not (folder / "model_index.json").is_file():
        raise zoo.IntegrityError(
            f"{folder} has no model_index.json, with which a pipeline of diffusers begins",
            "give the whole folder that diffusers saves, not a component or a single file",
        )
    index = read_json(folder / "model_index.json")
    kind = index.get("_class_name")
    if kind not in KINDS:
        raise zoo.IntegrityError(
            f"{folder / 'model_index.json'} is of a '{kind}', which is no Stable Diffusion",
            f"the family knows {', '.join(KINDS)}",
        )
    for component in ("unet", "vae", "scheduler"):
        if not (folder / component).is_dir():
            raise zoo.IntegrityError(f"{folder} has no folder '{component}'", "fetch it again")
    unet = read_json(folder / "unet" / "config.json")
    vae = read_json(folder / "vae" / "config.json")
    schedule = read_json(folder / "scheduler" / "scheduler_config.json")
    encoders = tuple(n for n in ("text_encoder", "text_encoder_2") if _is_listed(index, n))
    if unet.get("time_cond_proj_dim") or unet.get("addition_embed_type") not in (None, "text_time"):
        raise zoo.IntegrityError(
            f"the U-Net in {folder} is given more than text, time and size, which zoo does not know"
        )
    try:
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        side = unet["sample_size"]
        return DiffusionConfig(
            encoders=encoders,
            factor=factor,
            side=int(side[0] if isinstance(side, list) else side) * factor,
            channels=int(vae["latent_channels"]),
            given=int(unet["in_channels"]),
            scale=float(vae.get("scaling_factor", 0.18215)),
            sized=unet.get("addition_embed_type") == "text_time",
            zero_empty=bool(index.get("force_zeros_for_empty_prompt")),
            checked=_is_listed(index, "safety_checker") and (folder / "safety_checker").is_dir(),
            scheduler=str(schedule["_class_name"]),
            schedule=schedule,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise zoo.IntegrityError(f"the configs in {folder} lack {error}") from error


def _is_listed(index: dict[str, Any], component: str) -> bool:
    return bool((index.get(component) or [None])[0])


def weights_of(folder: Path, component: str) -> Path:
    """The weights of a component; those of the variant `fp16` where there are no others.

    Raises:
        IntegrityError: there are none, or only pickled ones.
    """
    name = WEIGHTS[component]
    for ending in (".safetensors", ".fp16.safetensors"):
        if (path := folder / component / f"{name}{ending}").is_file():
            return path
    pickled = sorted((folder / component).glob("*.bin"))
    if pickled:
        raise zoo.IntegrityError(
            f"{pickled[0]} is pickled, and loading a pickle can run any code",
            "take a revision with safetensors, or convert it where you trust it",
        )
    raise zoo.IntegrityError(f"{folder / component} has no {name}.safetensors")
