"""Tiny Stable Diffusion pipelines with random weights, as diffusers saves them, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WORDS = 77
"""Tokens of a prompt."""

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
UNET = {
    "sample_size": 8,
    "block_out_channels": (16,),
    "down_block_types": ("CrossAttnDownBlock2D",),
    "up_block_types": ("CrossAttnUpBlock2D",),
    "layers_per_block": 1,
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}


def write(folder: Path) -> None:
    """Write the smallest of them in `folder`: one level, pictures of 16 pixels."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        make(folder, _tokenizer(folder))


def make(
    folder: Path,
    tokenizer: Any,
    *,
    inner: int = 32,
    unet: Mapping[str, Any] | None = None,
    **parts: Any,
) -> Path:
    """Write a pipeline; returns its folder. The weights come from PyTorch's global generator.

    Args:
        folder: where to write.
        tokenizer: of the prompts.
        inner: width of the feed-forward parts of the text encoder.
        unet: options of the U-Net, over those of one level.
        parts: components in place of those of these names, such as `scheduler`.
    """
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline
    from diffusers import UNet2DConditionModel as UNet
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=inner,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    components = {
        "vae": AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            sample_size=16,
        ),
        "text_encoder": CLIPTextModel(text),
        "tokenizer": tokenizer,
        "unet": UNet(**{**UNET, **(unet or {})}),
        "scheduler": PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    StableDiffusionPipeline(**{**components, **parts}).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer with the letters of bytes and no merges."""
    from transformers import CLIPTokenizer

    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(n) for n in plain] + [chr(256 + n) for n in range(256 - len(plain))]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    numbers = {piece: number for number, piece in enumerate(pieces)}
    vocabulary.write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    merges.write_text("#version: 0.2\n", encoding="utf-8")
    made = CLIPTokenizer.from_pretrained(folder, model_max_length=WORDS)
    vocabulary.unlink()
    merges.unlink()
    return made
