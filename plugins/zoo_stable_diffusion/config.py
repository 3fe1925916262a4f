"""What the files of a pipeline folder, as diffusers saves it, say of a Stable Diffusion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json, weight_files
from zoo_stable_diffusion.keys import require_known, shown

KINDS = (
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "LatentConsistencyModelPipeline",
)
COMPONENTS: dict[str, tuple[str, ...]] = {
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "safety_checker": ("StableDiffusionSafetyChecker",),
}
"""The components of a pipeline, and the classes that zoo knows of each."""

SETTINGS = (
    "requires_safety_checker",
    "force_zeros_for_empty_prompt",
    "requires_aesthetics_score",
    "add_watermarker",
)
SCORED = ("StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline")
"""Pipelines of which some are given an aesthetic score."""

UNUSED = ("feature_extractor", "image_encoder", "scheduler")
"""Components that are read elsewhere, or that generation does not use."""

SIZE_KEYS = ("addition_time_embed_dim", "projection_class_embeddings_input_dim")

FIRST_SIDE, FIRST_VERSION = 64, (0, 9, 0)
"""The fewest latents to a side of a U-Net saved before this version of diffusers, whatever its
config says."""

SINGLE = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.", "conditioner.")
"""What weights are called in a single file, as A1111's web UI and ComfyUI take it."""


@dataclass(frozen=True)
class DiffusionConfig:
    """The shape of a Stable Diffusion.

    Attributes:
        encoders: names of the text encoders, one or two.
        factor: pixels to a side of one latent.
        height, width: of a picture as the model was trained, in pixels.
        channels: of a latent picture.
        given: channels that the U-Net takes; more than `channels` in a model made for inpainting.
        scale: what latents are multiplied by before the U-Net.
        mean, deviation: of each channel of the latents, which are normed by them first.
        sized: whether the U-Net is conditioned on the image size (SDXL).
        scored: whether it is conditioned on an aesthetic score, not the target size (a refiner).
        refines: whether it starts from an image, and generates none from noise alone.
        zero_empty: whether an empty negative prompt is zeros in place of its encoding.
        guided_inside: width of the embedding of the guidance, for a
            latent consistency model; 0 for others.
        checked: whether there is a safety checker.
        scheduler: the class in diffusers of the source's own sampler.
        schedule: its config.
        corrections: what diffusers sets in the sampler of an outdated pipeline.
    """

    encoders: tuple[str, ...]
    factor: int
    height: int
    width: int
    channels: int
    given: int
    scale: float
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None
    sized: bool
    scored: bool
    refines: bool
    zero_empty: bool
    guided_inside: int
    checked: bool
    scheduler: str
    schedule: dict[str, Any]
    corrections: dict[str, Any]


def read_diffusion_config(folder: Path) -> DiffusionConfig:
    """The shape of the pipeline in `folder`.

    Raises:
        IntegrityError: a config is missing, damaged, of a model that is not of this family, or says
            what zoo does not know.
    """
    _require_pipeline(folder)
    index = read_json(folder / "model_index.json")
    kind = index.get("_class_name")
    if kind not in KINDS:
        raise zoo.IntegrityError(
            f"{folder / 'model_index.json'} describes a '{kind}', not a Stable Diffusion pipeline",
            f"supported pipelines: {', '.join(KINDS)}",
        )
    _require_components(index, folder / "model_index.json")
    for component in ("unet", "vae", "scheduler"):
        if not (folder / component).is_dir():
            raise zoo.IntegrityError(f"{folder} has no folder '{component}'", "fetch it again")
    encoders = tuple(n for n in ("text_encoder", "text_encoder_2") if _is_listed(index, n))
    if not encoders:
        raise zoo.IntegrityError(f"{folder / 'model_index.json'} names no text encoder")
    for component in (*encoders, "unet", "vae"):
        path = folder / component / "config.json"
        require_known(component, read_json(path), path)
    unet = read_json(folder / "unet" / "config.json")
    vae = read_json(folder / "vae" / "config.json")
    schedule = read_json(folder / "scheduler" / "scheduler_config.json")
    extra_large = unet.get("addition_embed_type") == "text_time"
    scored = extra_large and kind in SCORED and bool(index.get("requires_aesthetics_score"))
    _require_agreeing(folder, unet, vae, extra_large)
    _require_width(folder, unet, encoders)
    if extra_large:
        _require_sizes(folder, unet, encoders, scored)
    factor = 2 ** (len(_needed(vae, "block_out_channels", folder / "vae")) - 1)
    high, wide = _sides(unet, folder, corrected="XL" not in kind)
    mean, deviation = vae.get("latents_mean"), vae.get("latents_std")
    normed = bool(mean and deviation)
    return DiffusionConfig(
        encoders=encoders,
        factor=factor,
        height=high * factor,
        width=wide * factor,
        channels=int(vae.get("latent_channels", 4)),
        given=int(unet.get("in_channels", 4)),
        scale=float(vae.get("scaling_factor", 0.18215)),
        mean=tuple(map(float, mean or ())) if normed else None,
        deviation=tuple(map(float, deviation or ())) if normed else None,
        sized=extra_large,
        scored=scored,
        refines=encoders == ("text_encoder_2",),
        zero_empty=bool(index.get("force_zeros_for_empty_prompt")),
        guided_inside=int(unet.get("time_cond_proj_dim") or 0),
        checked=_is_listed(index, "safety_checker") and (folder / "safety_checker").is_dir(),
        scheduler=str(schedule.get("_class_name")),
        schedule=schedule,
        corrections=_corrections(kind),
    )


def _require_pipeline(folder: Path) -> None:
    if (folder / "model_index.json").is_file():
        return
    for path in [folder] if folder.is_file() else sorted(folder.glob("*.safetensors")):
        if path.suffix == ".safetensors" and any(
            name.startswith(SINGLE) for name in tensor_names(path)
        ):
            raise zoo.IntegrityError(
                f"{path} is a checkpoint in a single file, as A1111's web UI and ComfyUI take it; "
                "zoo reads the folders of diffusers, with the configs and tokenizers beside",
                "convert it once with diffusers: StableDiffusionPipeline (or "
                f"StableDiffusionXLPipeline).from_single_file('{path.name}')"
                ".save_pretrained('folder')",
            )
    raise zoo.IntegrityError(
        f"{folder} has no model_index.json, so it is not a diffusers pipeline",
        "give the whole folder that diffusers saves, not a component or a single file",
    )


def _require_components(index: dict[str, Any], where: Path) -> None:
    for key, value in index.items():
        if key.startswith("_") or key in SETTINGS:
            continue
        kind = value[1] if isinstance(value, list) and len(value) == 2 else value
        if kind is None or key in UNUSED:
            continue
        if key not in COMPONENTS:
            raise zoo.IntegrityError(
                f"{where} has '{key}' ({shown(kind)}), which is not a component of Stable Diffusion"
            )
        if kind not in COMPONENTS[key]:
            raise zoo.IntegrityError(
                f"{where} has '{key}' of the class {shown(kind)}, which is not "
                f"supported; it must be one of {', '.join(COMPONENTS[key])}"
            )


def _require_agreeing(folder: Path, unet: dict[str, Any], vae: dict[str, Any], xl: bool) -> None:
    """Refuse a U-Net and an autoencoder that are given, or give, what this loop does not."""
    channels = vae.get("latent_channels", 4)
    where, given = folder / "unet" / "config.json", unet.get("in_channels", 4)
    if given not in (channels, 2 * channels + 1):
        raise zoo.IntegrityError(
            f"{where} has in_channels = {given}; it must be {channels} for text-to-image or "
            f"{2 * channels + 1} for inpainting"
        )
    if unet.get("out_channels", 4) != channels:
        raise zoo.IntegrityError(
            f"{where} has out_channels = {unet['out_channels']}; it must be "
            f"{channels}, as in the latents"
        )
    where = folder / "vae" / "config.json"
    for key in ("latents_mean", "latents_std"):
        if (numbers := vae.get(key)) is None:
            continue
        if not xl:
            raise zoo.IntegrityError(
                f"{where} has {key}, which diffusers reads with SDXL alone", "set it to null"
            )
        if len(numbers) != channels:
            raise zoo.IntegrityError(f"{where} has {len(numbers)} {key} for {channels} channels")


def _require_width(folder: Path, unet: dict[str, Any], encoders: tuple[str, ...]) -> None:
    """Refuse a U-Net that attends to prompts of another width than its text encoders give."""
    width = sum(
        read_json(folder / name / "config.json").get("hidden_size", 512) for name in encoders
    )
    given = unet.get("cross_attention_dim", 1280)
    if any(one != width for one in (given if isinstance(given, list) else [given])):
        raise zoo.IntegrityError(
            f"{folder / 'unet' / 'config.json'} has cross_attention_dim = {given}, but its "
            f"text encoders give {width}"
        )


def _require_sizes(
    folder: Path, unet: dict[str, Any], encoders: tuple[str, ...], scored: bool
) -> None:
    """Refuse a U-Net conditioned on another number of sizes than its pipeline gives."""
    where = folder / "unet" / "config.json"
    each, given = (unet.get(key) for key in SIZE_KEYS)
    if not each or not given:
        raise zoo.IntegrityError(
            f"{where} has addition_embed_type without {' and '.join(SIZE_KEYS)}"
        )
    if encoders[-1] != "text_encoder_2":
        raise zoo.IntegrityError(f"{folder} has no text_encoder_2, which its U-Net requires")
    text = read_json(folder / encoders[-1] / "config.json").get("projection_dim", 512)
    numbers = 5 if scored else 6
    if given != text + numbers * each:
        raise zoo.IntegrityError(
            f"{where} has {SIZE_KEYS[1]} = {given}, and {text} of the prompt with {numbers} of "
            f"{each} make {text + numbers * each}",
            "requires_aesthetics_score in model_index.json says whether there are 5 or 6",
        )


def _needed(config: dict[str, Any], key: str, where: Path) -> Any:
    if key not in config:
        raise zoo.IntegrityError(f"{where / 'config.json'} lacks '{key}'")
    return config[key]


def _sides(unet: dict[str, Any], folder: Path, *, corrected: bool) -> tuple[int, int]:
    """Height and width of a latent picture, as the U-Net was trained."""
    side = _needed(unet, "sample_size", folder / "unet")
    if isinstance(side, list):
        return int(side[0]), int(side[1])
    version = re.match(r"(\d+)\.(\d+)\.(\d+)", str(unet.get("_diffusers_version", "")))
    if corrected and version and tuple(map(int, version.groups())) < FIRST_VERSION:
        side = max(side, FIRST_SIDE)
    return int(side), int(side)


def _corrections(kind: str) -> dict[str, Any]:
    """What the pipelines of diffusers set in the config of their sampler."""
    if "XL" in kind or kind == "LatentConsistencyModelPipeline":
        return {}
    if "Inpaint" in kind:
        return {"steps_offset": 1, "skip_prk_steps": True}
    return {"steps_offset": 1, "clip_sample": False}


def _is_listed(index: dict[str, Any], component: str) -> bool:
    return bool((index.get(component) or [None])[0])


def tensor_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file.

    Raises:
        IntegrityError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            return list(file.keys())
    except (OSError, SafetensorError) as error:
        raise zoo.IntegrityError(f"{path} cannot be read: {error}") from error


def weights_of(folder: Path, component: str) -> list[Path]:
    """The files of a component's weights: one, or shards, of a variant where there is no other.

    Raises:
        IntegrityError: there are none, only pickled ones, or shards are missing.
    """
    if not (folder / component).is_dir():
        raise zoo.IntegrityError(f"{folder} has no folder '{component}'", "fetch it again")
    return weight_files(folder / component)
