"""Pipelines of other makers, beside diffusers: samplers, refiners, LCM, normed latents, shards."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from worlds import diffusion_checkpoint

import zoo
from zoo_stable_diffusion.config import read_diffusion_config
from zoo_stable_diffusion.mlx.plugin import MLXStableDiffusion
from zoo_stable_diffusion.model import expanded
from zoo_stable_diffusion.schedulers import OWN, SCHEDULERS, Schedule
from zoo_stable_diffusion.torch import TorchStableDiffusion

FORMATS = {"torch": TorchStableDiffusion, "mlx": MLXStableDiffusion}
NOISE = diffusion_checkpoint.SCHEDULE
PROMPT = "a red circle"
APART = 2
"""Of 255, by which a picture may differ from that of diffusers."""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return diffusion_checkpoint.make_tiny(tmp_path)


@pytest.fixture
def xl(tmp_path: Path) -> Path:
    return diffusion_checkpoint.make_xl(tmp_path)


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def theirs(folder: Path, kind: Any = diffusers.DiffusionPipeline, **options: Any) -> np.ndarray:
    pipeline = kind.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    seed = torch.Generator().manual_seed(3)
    more = {"num_inference_steps": 4, "guidance_scale": 3.0, **options}
    return np.asarray(pipeline(PROMPT, generator=seed, **more).images[0], float)


def apart(folder: Path, wanted: np.ndarray, **options: Any) -> dict[str, float]:
    found = {}
    for name, kind in FORMATS.items():
        with kind(folder) as model:
            drawn = model.generate(PROMPT, seed=3, **{"steps": 4, "guidance": 3.0, **options})
        found[name] = float(np.abs(np.asarray(drawn, float) - wanted).max())
    return found


def near(found: dict[str, float]) -> bool:
    return max(found.values()) <= APART


CONFIGS: list[dict[str, Any]] = [
    *({"_class_name": kind} for kind in OWN if not kind.startswith("EDM")),
    {"_class_name": "PNDMScheduler", "skip_prk_steps": True, "steps_offset": 0},
    {"_class_name": "DDIMScheduler", "clip_sample": True, "steps_offset": 0},
    {
        "_class_name": "DDIMScheduler",
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
        "clip_sample": False,
    },
    {"_class_name": "DDIMScheduler", "prediction_type": "sample", "thresholding": True},
    {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"},
    {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True},
    {"_class_name": "EulerDiscreteScheduler", "rescale_betas_zero_snr": True},
    {"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True},
    {
        "_class_name": "DPMSolverMultistepScheduler",
        "algorithm_type": "sde-dpmsolver++",
        "timestep_spacing": "leading",
        "final_sigmas_type": "sigma_min",
    },
    {"_class_name": "UniPCMultistepScheduler", "solver_order": 3, "use_beta_sigmas": True},
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return diffusion_checkpoint.make_tiny(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def components(pipeline: Path) -> dict[str, Any]:
    """Those of diffusers."""
    return diffusers.StableDiffusionPipeline.from_pretrained(pipeline).components


@pytest.fixture(scope="module")
def model(pipeline: Path) -> TorchStableDiffusion:
    return TorchStableDiffusion(pipeline)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: "-".join(map(str, config.values())))
def test_the_sources_own_sampler_draws_as_in_diffusers(components, model, monkeypatch, config):
    config = {**NOISE, **config}
    kind = getattr(diffusers, config["_class_name"])
    own = {**components, "scheduler": kind.from_config(config)}
    made = diffusers.StableDiffusionPipeline(**own, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    seed = torch.Generator().manual_seed(3)
    wanted = made(PROMPT, num_inference_steps=5, generator=seed).images[0]
    monkeypatch.setattr(model, "schedule", Schedule(config, model.config.corrections))
    drawn = model.generate(PROMPT, steps=5, seed=3)
    assert np.abs(np.asarray(drawn, float) - np.asarray(wanted, float)).max() <= APART


REFUSED = {("lcm", 999): 50, ("lcm", 1000): 50}
REFUSED |= {(name, 1000): 999 for name in ("ddim", "ddpm", "pndm")}
REFUSED |= {(name, steps): 500 for name in ("dpm++", "unipc") for steps in (999, 1000)}
"""Steps that samplers cannot take with the tiny pipeline, and those that are offered."""


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 50, 999, 1000])
def test_steps_at_the_extremes_are_taken_or_refused(model, name, steps):
    if instead := REFUSED.get((name, steps)):
        with pytest.raises(zoo.InputError, match=f"cannot run in {steps} steps") as caught:
            model.stream(PROMPT, steps=steps, scheduler=name)
        assert caught.value.hint == f"{instead} steps work"
    else:
        scheduler, times = model.schedule.plan(name, steps)
        assert scheduler.num_inference_steps == steps
        assert len(times) >= steps


def test_latents_are_clipped_only_where_the_source_says_so():
    silent = Schedule({"_class_name": "EulerDiscreteScheduler", **NOISE})
    assert not silent.make("ddim").config.clip_sample
    assert not silent.make("ddpm").config.clip_sample
    said = Schedule({"_class_name": "DDIMScheduler", **NOISE})
    assert said.make().config.clip_sample
    assert said.make("ddpm").config.clip_sample


def test_a_sampler_that_cannot_do_what_the_model_was_trained_for_is_refused():
    config = {"_class_name": "DDIMScheduler", **NOISE, "rescale_betas_zero_snr": True}
    assert Schedule(config).make("euler").config.rescale_betas_zero_snr
    with pytest.raises(zoo.InputError, match="trained with rescale_betas_zero_snr = True"):
        Schedule(config).make("heun")


def test_sdxls_latents_with_a_mean_are_drawn_and_gone_on_from(xl):
    mean, deviation = [-1.7, 1.9, -1.4, 2.5], [8.5, 5.9, 6.5, 5.2]
    change(xl / "vae" / "config.json", latents_mean=mean, latents_std=deviation)
    assert near(apart(xl, theirs(xl)))
    start = Image.effect_noise((32, 32), 90).convert("RGB")
    kind = diffusers.StableDiffusionXLImg2ImgPipeline
    wanted = theirs(xl, image=start, kind=kind, strength=0.6)
    assert near(apart(xl, wanted, image=start, strength=0.6))


def test_a_refiner_goes_on_from_a_picture(tmp_path):
    folder = diffusion_checkpoint.make_refiner(tmp_path)
    start = Image.effect_noise((32, 32), 90).convert("RGB")
    wanted = theirs(folder, image=start, strength=0.5)
    assert near(apart(folder, wanted, image=start, strength=0.5))
    with pytest.raises(zoo.InputError, match="is a refiner"):
        TorchStableDiffusion(folder).generate(PROMPT)
    change(folder / "model_index.json", requires_aesthetics_score=False)
    with pytest.raises(zoo.IntegrityError, match="projection_class_embeddings_input_dim = 80"):
        read_diffusion_config(folder)


def test_a_latent_consistency_model_is_told_the_guidance(tmp_path):
    unet = {"time_cond_proj_dim": 10}
    scheduler = diffusers.LCMScheduler(**NOISE)
    folder = diffusion_checkpoint.make_tiny(tmp_path, unet, scheduler=scheduler)
    assert near(apart(folder, theirs(folder)))
    mild = theirs(folder, guidance_scale=1.5)
    assert near(apart(folder, mild, guidance=1.5))
    assert np.abs(mild - theirs(folder)).max() > APART


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_and_variants_of_each_component_are_read(tiny, tmp_path, variant):
    wanted = theirs(tiny)
    made = diffusers.DiffusionPipeline.from_pretrained(tiny)
    made.save_pretrained(tmp_path / "shards", max_shard_size="20KB", variant=variant)
    shards = list((tmp_path / "shards").rglob("*-of-*.safetensors"))
    assert {path.parent.name for path in shards} >= {"unet", "vae", "text_encoder"}
    assert near(apart(tmp_path / "shards", wanted))
    shards[0].unlink()
    with pytest.raises(zoo.IntegrityError, match=shards[0].name):
        apart(tmp_path / "shards", wanted)


def test_sides_that_are_not_equal_are_the_default(tiny):
    change(tiny / "unet" / "config.json", sample_size=[8, 12])
    assert near(apart(tiny, theirs(tiny)))


def test_the_side_of_an_outdated_u_net_is_corrected(tiny):
    change(tiny / "unet" / "config.json", _diffusers_version="0.8.1")
    assert read_diffusion_config(tiny).height == 64 * read_diffusion_config(tiny).factor


def test_a_checkpoint_in_a_single_file_is_named(tmp_path):
    weights = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}
    save_file(weights, tmp_path / "dream.safetensors")
    for place in (tmp_path, tmp_path / "dream.safetensors"):
        with pytest.raises(zoo.IntegrityError, match="in a single file") as caught:
            read_diffusion_config(place)
        assert "from_single_file('dream.safetensors').save_pretrained" in caught.value.hint


def test_a_component_of_another_class_is_refused(tiny):
    odd = ["diffusers", "ControlNetModel"]
    change(tiny / "model_index.json", controlnet=odd)
    with pytest.raises(zoo.IntegrityError, match="has 'controlnet'"):
        read_diffusion_config(tiny)
    change(tiny / "model_index.json", controlnet=[None, None], vae=["diffusers", "AutoencoderTiny"])
    with pytest.raises(zoo.IntegrityError, match='of the class "AutoencoderTiny"'):
        read_diffusion_config(tiny)


def test_a_textual_inversion_in_the_pipeline_is_read_as_in_diffusers(tiny):
    made = diffusers.DiffusionPipeline.from_pretrained(tiny)
    made.load_textual_inversion({"<ink>": torch.randn(2, 16)}, token="<ink>")
    made.save_pretrained(tiny)
    tokenizer = TorchStableDiffusion(tiny).tokenizers[0]
    assert expanded("an <ink> fox", tokenizer) == "an <ink> <ink>_1 fox"
    prompt = f"{PROMPT} in <ink>"
    seed = torch.Generator().manual_seed(3)
    made.set_progress_bar_config(disable=True)
    wanted = made(prompt, num_inference_steps=3, generator=seed).images[0]
    drawn = TorchStableDiffusion(tiny).generate(prompt, steps=3, seed=3)
    assert np.abs(np.asarray(drawn, float) - np.asarray(wanted, float)).max() <= APART


def test_weights_of_words_are_said_to_do_nothing(model):
    with pytest.warns(UserWarning, match=r"'\(red:1.3\)' is read as plain text"):
        model.generate("a (red:1.3) ring", steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.generate("a (red) ring: round", steps=1)
