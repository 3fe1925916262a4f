"""A small Stable Diffusion pipeline with random weights, as diffusers saves it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes" / "training"))

import train_diffusion as training


def make(folder: Path) -> Path:
    """Write the pipeline below `folder`; returns its own folder."""
    torch.manual_seed(0)
    (folder / "words").mkdir()
    tokenizer = training.make_tokenizer(folder / "words")
    StableDiffusionPipeline(
        vae=training.make_vae(),
        text_encoder=training.make_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=training.make_unet(),
        scheduler=PNDMScheduler(**training.NOISE, skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder / "whole")
    return folder / "whole"
