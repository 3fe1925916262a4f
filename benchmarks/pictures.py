"""Seconds per step of denoising and peak memory beside diffusers, on the CPU, in the same run.

    python benchmarks/pictures.py [FOLDER] [--steps 20] [--full]

FOLDER is a pipeline of Stable Diffusion as diffusers saves it; without one it is `mini` beside the
recipes, or a pipeline of that shape with random weights. `--full` takes a U-Net of Stable Diffusion
1.5's full size with random weights instead, for 2 steps at 512x512. Every way is a process of its
own; loading and the first step, which compiles, are not counted.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[1]
MINI = HOME / "recipes" / "stable-diffusion" / "mini"
WAYS = ("diffusers", "torch", "mlx", "coreml")
PROMPT = "a red circle"

CATALOG = """
schema = 1
[models.drawer]
default = "one"
variants = { one = "one.toml" }
"""
RECIPE = """
schema = 1
family = "stable-diffusion"
title = "Drawer"
summary = "for this benchmark"
task = "text-to-image"
license = "MIT"
parameters = 1
[source]
folder = "source"
[build.torch]
format = "torch"
[build.mlx]
format = "mlx"
[build.coreml]
format = "coreml"
"""


def make_source(folder: Path, full: bool) -> None:
    """Write a pipeline with random weights."""
    sys.path.insert(0, str(HOME / "tests"))
    import torch
    from diffusers import UNet2DConditionModel
    from unet_conversion import SIDE, TOLD
    from worlds.diffusion_checkpoint import make

    parts = {}
    if full:
        from transformers import CLIPTextConfig, CLIPTextModel

        torch.set_default_dtype(torch.float16)
        parts = {
            "unet": UNet2DConditionModel(
                sample_size=SIDE,
                block_out_channels=(320, 640, 1280, 1280),
                layers_per_block=2,
                attention_head_dim=8,
                cross_attention_dim=TOLD,
            ),
            "text_encoder": CLIPTextModel(CLIPTextConfig(hidden_size=TOLD, num_attention_heads=12)),
        }
        torch.set_default_dtype(torch.float32)
    folder.mkdir()
    make(folder, **parts)


def diffusers_way(folder: Path, steps: int) -> list[float]:
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, torch_dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    times = []

    def note(pipeline: Any, step: int, time_step: int, given: Any) -> Any:
        times.append(time.perf_counter())
        return given

    pipeline(PROMPT, num_inference_steps=steps, callback_on_step_end=note)
    return times


def zoo_way(way: str, steps: int) -> list[float]:
    import zoo

    with zoo.load("user/drawer", format=way, check=False, force=True) as model:
        steps_taken = model.stream(PROMPT, steps=steps, seed=0)
        return [time.perf_counter() for _ in steps_taken]


def measured(way: str, folder: Path, steps: int, env: dict[str, str]) -> dict[str, float]:
    """Seconds per step and peak MiB of a process of its own."""
    line = [sys.executable, __file__, str(folder), "--steps", str(steps), "--way", way]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=env)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure each way in a process of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--way", choices=WAYS, help="measure this one here, for the other process")
    parser.add_argument("--make", type=Path, help="only write the random source here")
    options = parser.parse_args()
    if options.make:
        make_source(options.make, options.full)
        return
    if options.way:
        theirs = options.way == "diffusers"
        times = (
            diffusers_way(options.folder, options.steps)
            if theirs
            else zoo_way(options.way, options.steps)
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": (times[-1] - times[0]) / (len(times) - 1), "mib": peak}))
        return
    steps = options.steps or (3 if options.full else 20)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        source = options.folder or (None if options.full or not MINI.is_dir() else MINI)
        if source is None:
            line = [sys.executable, __file__, "--make", str(place / "random")]
            subprocess.run([*line, *(["--full"] if options.full else [])], check=True)
            source = place / "random" / "whole"
        config = place / "config"
        config.mkdir()
        (config / "catalog.toml").write_text(CATALOG)
        (config / "one.toml").write_text(RECIPE)
        (config / "source").symlink_to(source.resolve())
        env = {**os.environ, "ZOO_HOME": str(place / "home"), "ZOO_CONFIG": str(config)}
        for way in options.ways:
            if way != "diffusers":  # made beforehand, so that conversion is not measured
                making = f"import zoo; zoo.build('user/drawer', format='{way}', check=False)"
                subprocess.run([sys.executable, "-c", making], check=True, env=env)
        found = {way: measured(way, source, steps, env) for way in options.ways}
    base = found[options.ways[0]]
    print(f"{'':14}{'seconds per step':>18}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}")
    for way, one in found.items():
        print(
            f"{way:14}{one['seconds']:18.4f}{one['seconds'] / base['seconds']:8.2f}"
            f"{one['mib']:10.0f}{one['mib'] / base['mib']:8.2f}"
        )


if __name__ == "__main__":
    main()
