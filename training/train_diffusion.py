"""Train the miniature Stable Diffusion: tokenizer, autoencoder, text encoder and U-Net.

    python training/train_diffusion.py --out FOLDER --vae-minutes 6 --minutes 20

writes a pipeline folder as diffusers saves it. The U-Net predicts the velocity, as that of Stable
Diffusion 2.1 does (https://arxiv.org/abs/2202.00512), so that noisy times, which decide where a
shape is, count as much as others; captions are dropped for classifier-free guidance
(https://arxiv.org/abs/2207.12598).
"""

import argparse
import json
import math
import random
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from pictures import SIZES, STYLES, held_out, samples
from torch import nn
from torch.nn.functional import l1_loss, mse_loss
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from zoo_stable_diffusion.reader import COLOURS, PLACES, SHAPES, SIDE, shows

LENGTH = 77
VAE_BATCH, VAE_RATE = 12, 2.5e-3
BATCH, RATE = 32, 1.5e-3
DROPPED = 0.1
"""Share of captions that are left out."""

GUIDANCE = 2
"""Of the pictures that are scored: more makes circles of squares."""

NOISY, NOISY_FROM = 0.5, 0.6
"""Share of the timesteps sampled from the noisy end, which decides what is where, and where
that end begins."""

NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's byte-level BPE; its merges make each word of the prompts one token."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(n) for n in plain] + [chr(256 + n) for n in range(256 - len(plain))]
    vocabulary = letters + [f"{letter}</w>" for letter in letters]
    known = " ".join(("a", "an", "and", "of", *COLOURS, *SHAPES, *SIZES, *PLACES, *STYLES)).split()
    merges: list[tuple[str, str]] = []
    for word in dict.fromkeys(known):
        left, *rest = [*word[:-1], f"{word[-1]}</w>"]
        for right in rest:
            if (left, right) not in merges:
                merges.append((left, right))
            left += right
            if left not in vocabulary:
                vocabulary.append(left)
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH)


def make_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        norm_num_groups=4,
        sample_size=SIDE,
    )


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            projection_dim=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE // 8,
        block_out_channels=(32, 64, 64, 64),
        layers_per_block=2,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def as_tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    """Pictures as a float32 tensor of shape (n, 3, 64, 64) from -1 to 1."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return stacked.float() / 127.5 - 1


def train_vae(vae: AutoencoderKL, minutes: float) -> None:
    """Teach the autoencoder plain and styled pictures, and set its scaling factor."""
    pictures = [p for p, _ in islice(samples(11), 3000)]
    for number, style in enumerate(STYLES):
        pictures += [p for p, _ in islice(samples(12 + number, style), 800)]
    every = as_tensor(pictures).contiguous(memory_format=torch.channels_last)
    vae = vae.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=VAE_RATE, betas=(0.9, 0.99), weight_decay=0)
    begin, step = time.monotonic(), 0
    while (progress := (time.monotonic() - begin) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = VAE_RATE * min(1, (step + 1) / 50) * (1 - progress) ** 0.7
        batch = every[torch.randint(len(every), (VAE_BATCH,))]
        posterior = vae.encode(batch).latent_dist
        drawn = vae.decode(posterior.sample()).sample
        error = mse_loss(drawn, batch)
        loss = l1_loss(drawn, batch) + 2 * error + 2e-6 * posterior.kl().mean()
        take_step(loss, optimizer, list(vae.parameters()))
        if step % 100 == 0:
            psnr = 10 * math.log10(4 / error.item())
            print(
                f"autoencoder {step:5d} {60 * minutes * progress:5.0f} s {psnr:.1f} dB", flush=True
            )
        step += 1
    with torch.inference_mode():
        spread = vae.eval().encode(every[:256]).latent_dist.mean.std().item()
    vae.register_to_config(scaling_factor=round(1 / spread, 5))


def take_step(loss: torch.Tensor, optimizer: torch.optim.Optimizer, weights: list[Any]) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()


class Examples:
    """Latents of pictures, and the tokens of their captions; the last of `ids` is of no caption."""

    def __init__(self, pipeline: StableDiffusionPipeline, count: int, seed: int, style: str = ""):
        pictures, captions = zip(*islice(samples(seed, style), count), strict=True)
        vae = pipeline.vae
        with torch.inference_mode():
            latents = [
                vae.encode(as_tensor(pictures[at : at + 100])).latent_dist.mean
                for at in range(0, count, 100)
            ]
        self.latents = torch.cat(latents).clone() * vae.config.scaling_factor
        known = [*sorted(set(captions)), ""]
        numbers = {caption: number for number, caption in enumerate(known)}
        self.captions = torch.tensor([numbers[caption] for caption in captions])
        given = pipeline.tokenizer(known, padding="max_length", return_tensors="pt")
        self.ids = given.input_ids

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents, and for each the row of `ids`."""
        chosen = torch.randint(len(self.latents), (count,))
        captions = self.captions[chosen].clone()
        captions[torch.rand(count) < DROPPED] = len(self.ids) - 1
        return self.latents[chosen], captions


def diffusion_loss(
    unet: nn.Module,
    noise_schedule: DDPMScheduler,
    latents: torch.Tensor,
    hidden: torch.Tensor,
    noisy: float = NOISY,
) -> torch.Tensor:
    """How far the U-Net is from the velocity of picture and noise."""
    noise, count = torch.randn_like(latents), len(latents)
    shares = torch.rand(count)
    early = torch.rand(count) < noisy
    shares = torch.where(early, NOISY_FROM + (1 - NOISY_FROM) * shares, shares)
    times = (shares * noise_schedule.config.num_train_timesteps).long()
    found = unet(noise_schedule.add_noise(latents, noise, times), times, hidden).sample
    return mse_loss(found, noise_schedule.get_velocity(latents, noise, times))


def train_unet(
    pipeline: StableDiffusionPipeline, minutes: float, rate: float, noisy: float, out: Path
) -> None:
    """Teach text encoder and U-Net together; the weights kept are a moving average."""
    unet, text = pipeline.unet.train(), pipeline.text_encoder.train()
    schedule = DDPMScheduler(**NOISE, clip_sample=False)
    examples = Examples(pipeline, 12_000, 21)
    weights = [*unet.parameters(), *text.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    average = [weight.detach().clone() for weight in weights]
    begin, saved, step = time.monotonic(), time.monotonic(), 0
    while (progress := (time.monotonic() - begin) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * (1 - progress) ** 0.7 + 1e-6
        latents, captions = examples.batch(BATCH)
        some, rows = torch.unique(captions, return_inverse=True)
        hidden = text(examples.ids[some]).last_hidden_state[rows]
        loss = diffusion_loss(unet, schedule, latents, hidden, noisy)
        take_step(loss, optimizer, weights)
        with torch.no_grad():
            part = 1 - min(0.998, (step + 1) / (step + 10))
            torch._foreach_lerp_(average, [weight.detach() for weight in weights], part)
        if step % 100 == 0:
            seconds = 60 * minutes * progress
            print(f"U-Net {step:6d} {seconds:6.0f} s  loss {loss.item():.4f}", flush=True)
        if time.monotonic() - saved > 240:
            saved = time.monotonic()
            _with(weights, average, lambda: save(pipeline, out))
        step += 1
    for weight, kept in zip(weights, average, strict=True):
        weight.data.copy_(kept)
    unet.eval(), text.eval()
    print(f"{step} steps", flush=True)


def _with(weights: list[Any], average: list[Any], act: Any) -> None:
    """Act while the average is in the weights' place."""
    before = [weight.data for weight in weights]
    for weight, kept in zip(weights, average, strict=True):
        weight.data = kept
    act()
    for weight, kept in zip(weights, before, strict=True):
        weight.data = kept


def save(pipeline: StableDiffusionPipeline, out: Path) -> None:
    """Write the pipeline, its weights in float16."""
    with tempfile.TemporaryDirectory() as whole:
        pipeline.save_pretrained(whole)
        halved = StableDiffusionPipeline.from_pretrained(
            whole, torch_dtype=torch.float16, safety_checker=None, local_files_only=True
        )
        halved.save_pretrained(out)
    for path in out.rglob("*.json"):  # none of them tells where it was made
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def score(pipeline: StableDiffusionPipeline, count: int, steps: int = 20) -> float:
    """The share of held-out prompts whose picture shows them, as the reader sees it."""
    pipeline.set_progress_bar_config(disable=True)
    before = pipeline.scheduler
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(before.config)
    wanted, right = held_out()[:count], 0
    for start in range(0, count, 20):
        part = wanted[start : start + 20]
        seeds = [torch.Generator().manual_seed(start + n) for n in range(len(part))]
        texts = [prompt.text for prompt in part]
        drawn = pipeline(
            texts,
            generator=seeds,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            output_type="np",
        ).images
        right += sum(
            shows(picture * 255, prompt) for picture, prompt in zip(drawn, part, strict=True)
        )
    pipeline.scheduler = before
    return right / count


def main() -> None:
    """Train, measure and write the miniature."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--start", type=Path, help="a trained folder to resume from")
    parser.add_argument("--vae-minutes", type=float, default=6)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--noisy", type=float, default=NOISY, help="share of noisy times")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    if options.start:
        pipeline = StableDiffusionPipeline.from_pretrained(
            options.start, torch_dtype=torch.float32, safety_checker=None, local_files_only=True
        )
    else:
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = make_tokenizer(Path(folder))
        pipeline = StableDiffusionPipeline(
            vae=make_vae(),
            text_encoder=make_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=make_unet(),
            scheduler=PNDMScheduler(
                **NOISE,
                skip_prk_steps=True,
                set_alpha_to_one=False,
                steps_offset=1,
                timestep_spacing="trailing",
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        train_vae(pipeline.vae, options.vae_minutes)
        pipeline.vae.to(memory_format=torch.contiguous_format)
        save(pipeline, options.out)
    for name in ("vae", "text_encoder", "unet"):
        print(f"{name}: {getattr(pipeline, name).num_parameters():,} parameters", flush=True)
    train_unet(pipeline, options.minutes, options.rate, options.noisy, options.out)
    save(pipeline, options.out)
    print(f"{score(pipeline, 200):.1%} of 200 held-out prompts are rendered correctly")


if __name__ == "__main__":
    main()
