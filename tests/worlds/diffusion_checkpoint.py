"""Small Stable Diffusion pipelines with random weights, as diffusers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import train_diffusion as training
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from zoo_stable_diffusion import tiny

SIDE = 32
"""Of a picture of `make_xl` and `make_two`, in pixels; one latent is 2 pixels wide."""

SCHEDULE = tiny.NOISE
NO_CHECKER = {
    "safety_checker": None,
    "feature_extractor": None,
    "requires_safety_checker": False,
}


def make(folder: Path, **parts: Any) -> Path:
    """Write a pipeline of the miniature's shape below `folder`; returns its own folder.

    `parts` take the place of the components of these names.
    """
    tokenizer = _tokenizer(folder)
    components = {
        "vae": training.make_vae(),
        "text_encoder": training.make_text_encoder(tokenizer),
        "tokenizer": tokenizer,
        "unet": training.make_unet(),
        "scheduler": _pndm(),
        **NO_CHECKER,
    }
    return _saved(StableDiffusionPipeline(**{**components, **parts}), folder)


def make_tiny(folder: Path, unet: dict[str, Any] | None = None, **parts: Any) -> Path:
    """A pipeline with two levels and the fewest layers: no layer of it is 128 wide.

    `unet` are more of its options, and `parts` take the place of components.
    """
    levels = {
        "block_out_channels": (16, 24),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    parts.setdefault("scheduler", _pndm())
    return tiny.make(
        folder / "whole", _tokenizer(folder), inner=192, unet={**levels, **(unet or {})}, **parts
    )


def make_xl(folder: Path) -> Path:
    """A pipeline of SDXL's layout: two text encoders, and a U-Net that is told of sizes."""
    tokenizer = _tokenizer(folder)
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text(tokenizer, 32, "quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(_text(tokenizer, 48, "gelu", 40)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=UNet2DConditionModel(
            **_UNET,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4),
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
            cross_attention_dim=32 + 48,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=40 + 6 * 8,
        ),
        scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading", steps_offset=1),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
    return _saved(pipeline, folder)


def make_refiner(folder: Path) -> Path:
    """A pipeline of the layout of SDXL's refiner: one text encoder, the second."""
    tokenizer = _tokenizer(folder)
    pipeline = StableDiffusionXLImg2ImgPipeline(
        vae=_vae(),
        text_encoder=None,
        text_encoder_2=CLIPTextModelWithProjection(_text(tokenizer, 48, "gelu", 40)),
        tokenizer=None,
        tokenizer_2=tokenizer,
        unet=UNet2DConditionModel(
            **_UNET,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            cross_attention_dim=48,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=40 + 5 * 8,
        ),
        scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="leading", steps_offset=1),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    return _saved(pipeline, folder)


def make_two(folder: Path) -> Path:
    """A pipeline for inpainting of Stable Diffusion 2's layout, which predicts the velocity.

    Its autoencoder is as sure of its latents as a trained one: diffusers draws them from there.
    """
    tokenizer, vae = _tokenizer(folder), _vae()
    with torch.no_grad():
        vae.quant_conv.weight[4:], vae.quant_conv.bias[4:] = 0, -30
    pipeline = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(_text(tokenizer, 48, "gelu", 512)),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            **_UNET,
            in_channels=9,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=[2, 4],
            use_linear_projection=True,
            cross_attention_dim=48,
        ),
        scheduler=DDIMScheduler(
            **SCHEDULE,
            prediction_type="v_prediction",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        **NO_CHECKER,
    )
    return _saved(pipeline, folder)


def make_checked(folder: Path) -> Path:
    """A small pipeline with a safety checker, whose thresholds are all 1."""
    torch.manual_seed(1)
    seeing = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = CLIPConfig(
        vision_config={**seeing, "num_attention_heads": 4, "image_size": 24, "patch_size": 8},
        text_config={**seeing, "num_attention_heads": 4},
        projection_dim=16,
    )
    checker = StableDiffusionSafetyChecker(config)
    for embeds in (checker.concept_embeds, checker.special_care_embeds):
        embeds.data.normal_()
    extractor = CLIPImageProcessor(
        size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}
    )
    return make(
        folder,
        vae=_vae(),
        unet=UNet2DConditionModel(
            **_UNET,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            cross_attention_dim=64,
        ),
        safety_checker=checker,
        feature_extractor=extractor,
        requires_safety_checker=True,
    )


_UNET = {
    "sample_size": SIDE // 2,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "norm_num_groups": 8,
}


def _tokenizer(folder: Path) -> CLIPTokenizer:
    torch.manual_seed(0)
    (folder / "words").mkdir()
    return training.make_tokenizer(folder / "words")


def _pndm() -> PNDMScheduler:
    return PNDMScheduler(**training.NOISE, skip_prk_steps=True, steps_offset=1)


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def _text(tokenizer: Any, width: int, activation: str, projection: int = 32) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=training.LENGTH,
        hidden_act=activation,
        projection_dim=projection,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _saved(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder / "whole")
    return folder / "whole"
