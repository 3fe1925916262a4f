"""Train a LoRA style of the miniature Stable Diffusion.

    python training/train_style.py --base recipes/stable-diffusion/mini --style ink \
        --minutes 6 --out FOLDER

writes `pytorch_lora_weights.safetensors`, as diffusers saves and loads it. Only the projections of
attention are changed. https://arxiv.org/abs/2106.09685
"""

import argparse
import time
from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from pictures import STYLES
from train_diffusion import Examples, diffusion_loss, take_step

RANK = 4
BATCH, RATE = 24, 3e-3
LAYERS = ("to_q", "to_v", "to_out.0")


def train_style(pipeline: StableDiffusionPipeline, style: str, minutes: float) -> int:
    """Teach the U-Net's branches pictures of the style; returns the steps made."""
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        part.requires_grad_(False)
    unet = pipeline.unet
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(LAYERS)))
    weights = [weight for weight in unet.parameters() if weight.requires_grad]
    examples = Examples(pipeline, 3000, 31, style)
    with torch.inference_mode():
        hidden = pipeline.text_encoder(examples.ids).last_hidden_state
    hidden = hidden.clone()
    schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0)
    begin, step = time.monotonic(), 0
    while (progress := (time.monotonic() - begin) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 30) * (1 - progress) + 1e-5
        latents, captions = examples.batch(BATCH)
        loss = diffusion_loss(unet, schedule, latents, hidden[captions])
        take_step(loss, optimizer, weights)
        if step % 50 == 0:
            print(
                f"{style} {step:5d} {60 * minutes * progress:5.0f} s  loss {loss:.4f}", flush=True
            )
        step += 1
    return step


def main() -> None:
    """Train the style and write it, in float16."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--base", type=Path, required=True, help="the miniature's folder")
    parser.add_argument("--style", choices=STYLES, required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    pipeline = StableDiffusionPipeline.from_pretrained(
        options.base, torch_dtype=torch.float32, safety_checker=None, local_files_only=True
    )
    steps = train_style(pipeline, options.style, options.minutes)
    trained = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    halved = {name: weight.half().contiguous() for name, weight in trained.items()}
    StableDiffusionPipeline.save_lora_weights(options.out, unet_lora_layers=halved)
    size = sum(weight.numel() for weight in halved.values())
    print(f"{steps} steps, {size:,} parameters of rank {RANK}")


if __name__ == "__main__":
    main()
