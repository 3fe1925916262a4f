"""Stable Diffusion: the pictures that diffusers draws, and clear words for what cannot be drawn."""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pictures
import pytest
import torch
from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image
from worlds import diffusion_checkpoint

import zoo
from zoo_stable_diffusion import reader
from zoo_stable_diffusion.schedulers import SCHEDULERS, make_scheduler
from zoo_stable_diffusion.torch import TorchStableDiffusion

pytestmark = pytest.mark.usefixtures("warm")

PROMPT, AWAY = "a red circle", "a blue ring"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return diffusion_checkpoint.make(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def model(folder) -> TorchStableDiffusion:
    return TorchStableDiffusion(folder)


@pytest.fixture(scope="module")
def theirs(folder) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def apart(one: Image.Image, other: Image.Image) -> float:
    """The largest difference of two pictures, of 255."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).max())


@pytest.mark.parametrize("scheduler", [None, *SCHEDULERS])
def test_a_seed_draws_what_it_draws_in_diffusers(model, theirs, scheduler):
    config = model.config
    theirs.scheduler = make_scheduler(scheduler, config.scheduler, config.schedule)
    seed = torch.Generator().manual_seed(3)
    options = {"negative_prompt": AWAY, "num_inference_steps": 5, "generator": seed}
    wanted = theirs(PROMPT, **options).images[0]
    drawn = model.generate(PROMPT, negative=AWAY, steps=5, seed=3, scheduler=scheduler)
    assert apart(drawn, wanted) <= 1


def test_a_batch_draws_the_pictures_of_its_seeds(model):
    together = model.generate_many([PROMPT, AWAY], seed=3, steps=3)
    for number, prompt in enumerate((PROMPT, AWAY)):
        assert apart(together[number], model.generate(prompt, seed=3 + number, steps=3)) <= 2


def test_steps_can_be_watched(model):
    steps = list(model.stream(PROMPT, seed=1, steps=4, scheduler="ddim", width=48, height=80))
    assert [(step.number, step.total) for step in steps] == [(n, 4) for n in range(1, 5)]
    assert steps[0].pictures()[0].size == (48, 80)
    last = model.generate(PROMPT, seed=1, steps=4, scheduler="ddim", width=48, height=80)
    assert apart(steps[-1].pictures()[0], last) == 0


def test_a_picture_is_gone_on_from_by_strength(model):
    start = model.generate(PROMPT, seed=1, steps=3)
    options = {"image": start, "seed": 2, "steps": 10, "scheduler": "ddim"}
    taken = [len(list(model.stream(AWAY, strength=much, **options))) for much in (0.01, 0.3, 1)]
    assert taken == [1, 3, 10]
    mild, bold = (model.generate(AWAY, strength=much, **options) for much in (0.3, 1))
    assert apart(mild, bold) > 1
    with pytest.raises(zoo.InputError, match="strength"):
        model.generate(AWAY, strength=0, **options)


@pytest.mark.parametrize(("strength", "scheduler"), [(1, None), (0.6, "euler-ancestral")])
def test_a_picture_is_gone_on_from_as_in_diffusers(model, theirs, strength, scheduler):
    start = model.generate(PROMPT, seed=1, steps=3)
    pipeline = StableDiffusionImg2ImgPipeline.from_pipe(theirs)
    pipeline.scheduler = model.schedule.make(scheduler)
    seed = torch.Generator().manual_seed(3)
    more = {"num_inference_steps": 5, "generator": seed, "strength": strength}
    wanted = pipeline(AWAY, start, **more).images[0]
    options = {"steps": 5, "seed": 3, "strength": strength, "scheduler": scheduler}
    assert apart(model.generate(AWAY, image=start, **options), wanted) <= 1


@pytest.mark.parametrize(("strength", "scheduler"), [(1, "euler-ancestral"), (0.6, None)])
def test_what_is_masked_is_made_new_as_in_diffusers(model, theirs, strength, scheduler):
    start = model.generate(PROMPT, seed=1, steps=3)
    mask = Image.new("L", start.size)
    mask.paste(255, (0, 0, 32, 64))
    pipeline = StableDiffusionInpaintPipeline.from_pipe(theirs)
    pipeline.scheduler = model.schedule.make(scheduler)
    seed = torch.Generator().manual_seed(3)
    more = {"num_inference_steps": 5, "generator": seed, "strength": strength}
    wanted = pipeline(AWAY, start, mask, height=64, width=64, **more).images[0]
    options = {"steps": 5, "seed": 3, "strength": strength, "scheduler": scheduler}
    assert apart(model.generate(AWAY, image=start, mask=mask, **options), wanted) <= 1


def test_what_is_not_masked_stays(model):
    start = model.generate(PROMPT, seed=1, steps=3)
    mask = Image.new("L", start.size)
    mask.paste(255, (0, 0, 32, 64))
    options = {"seed": 2, "steps": 6, "scheduler": "ddim", "strength": 1.0}
    inside = model.generate(AWAY, image=start, mask=mask, **options)
    nothing = model.generate(AWAY, image=start, mask=Image.new("L", start.size), **options)
    mean, spread = model.moments(_pixels(start))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(2)).numpy()
    there_and_back = model.picture(mean + np.exp(spread / 2) * noise)[0].transpose(1, 2, 0)
    kept = ((there_and_back / 2 + 0.5).clip(0, 1) * 255).round()
    assert np.abs(np.asarray(nothing, float) - kept).max() <= 1
    assert apart(inside, nothing) > 1


def _pixels(image: Image.Image) -> np.ndarray:
    return (np.asarray(image, np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]


def test_a_style_of_diffusers_is_used_and_left(folder, theirs, tmp_path):
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet = diffusion_checkpoint.training.make_unet()
    unet.load_state_dict(theirs.unet.state_dict())
    targets = ["to_q", "to_out.0", "proj_in", "ff.net.2"]
    unet.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    torch.manual_seed(5)
    for name, weight in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    described = unet.peft_config["default"].to_dict()
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=layers, unet_lora_adapter_metadata=described
    )
    model = TorchStableDiffusion(folder).add_adapters({"thick": tmp_path})
    plain = model.component_outputs(PROMPT)["unet"]
    model.use("thick")
    styled = model.component_outputs(PROMPT)["unet"]
    model.use(None)
    assert np.array_equal(model.component_outputs(PROMPT)["unet"], plain)
    model.unet = unet.eval()
    wanted = model.component_outputs(PROMPT)["unet"]
    assert np.abs(wanted - plain).max() > 0.01
    assert np.abs(styled - wanted).max() < 1e-4
    other = tmp_path / "other"
    other.mkdir()
    narrow = {
        name: weight[:, :3].clone() if weight.ndim == 4 else weight[..., :3].clone()
        for name, weight in layers.items()
        if "lora.down" in name or "lora_A" in name
    }
    rest = {name: weight for name, weight in layers.items() if name not in narrow}
    StableDiffusionPipeline.save_lora_weights(other, unet_lora_layers={**narrow, **rest})
    with pytest.raises(zoo.IntegrityError, match="is for another model"):
        TorchStableDiffusion(folder).add_adapters({"other": other})


def test_a_prompt_that_is_too_long_is_cut_with_a_warning(model):
    long = " ".join(["a red circle"] * 25 + ["ring"])
    with pytest.warns(UserWarning, match=r"has 76 tokens.* takes 75: truncated: 'ring'"):
        ids = model.tokens([long])
    assert ids[0].shape == (1, 77)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 60}, "the width must be a multiple of 8 pixels, not 60"),
        ({"height": 4}, "the height must be a multiple of 8 pixels, not 4"),
        ({"scheduler": "eular"}, "unknown scheduler 'eular', did you mean 'euler'?"),
        ({"steps": 0}, "steps must be from 1 to 1000"),
        ({"strength": 0}, "strength must be above 0"),
        ({"seed": -1}, "seed must be from 0 to"),
        ({"guidence": 3}, "unknown option 'guidence', did you mean 'guidance'"),
        ({"image": Image.new("F", (64, 64))}, "the image has the mode 'F'"),
        ({"image": Image.new("RGBA", (64, 64))}, "the image is transparent in places"),
        ({"width": 80000, "height": 80000}, "80000x80000 is more than 16,777,216 pixels"),
        ({"negative": "a\udcff"}, "the negative prompt is not UTF-8 text"),
        ({"image": "none.png"}, "the image none.png does not exist"),
        ({"image": __file__}, "cannot be read"),
        ({"image": 7}, "must be a PIL.Image or a path"),
        ({"mask": Image.new("L", (64, 64))}, "a mask needs the image"),
        ({"image": Image.new("RGB", (64, 64)), "width": 48}, "the image is 64x64, and 48x64"),
        (
            {"image": Image.new("RGB", (64, 64)), "mask": Image.new("L", (8, 8))},
            "the mask is 8x8, and the image 64x64",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said_at_once(model, options, words):
    with pytest.raises(zoo.InputError) as caught:
        model.stream(PROMPT, **options)
    assert words in str(caught.value)


def test_an_empty_prompt_and_an_unknown_style_are_refused(model):
    with pytest.raises(zoo.InputError, match="the prompt is empty"):
        model.generate(" ")
    with pytest.raises(zoo.NotFound, match="has no adapter 'outlyne'"):
        model.use("outlyne")


def test_the_reader_sees_what_is_drawn():
    rng, every = random.Random(4), pictures.prompts()
    right = sum(reader.shows(pictures.draw(prompt, rng), prompt) for prompt in every)
    assert right >= 0.99 * len(every)
    wrong = sum(reader.shows(pictures.draw(every[0], rng), prompt) for prompt in every[1:])
    assert wrong < 0.05 * len(every)
    assert reader.read(np.full((64, 64, 3), 238, np.uint8)) is None
    trained = {text for _, text in islice(pictures.samples(9), 2000)}
    assert not trained & {prompt.text for prompt in pictures.held_out()}


def test_the_command_line_draws_with_a_folder_of_ones_own(sandbox, folder, model, tmp_path):
    start = model.generate(PROMPT, seed=1, steps=2)
    start.save(tmp_path / "start.png")
    line = ["run", str(folder), AWAY, "--family", "stable-diffusion", "--format", "torch", "--json"]
    line += ["-o", str(tmp_path / "fox.png"), "--count", "2", "--seed", "4", "--steps", "5"]
    line += ["--image", str(tmp_path / "start.png"), "--strength", "0.6", "--preview", "2", "-q"]
    done = sandbox.zoo(*line)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    paths = [tmp_path / f"fox-{number}.png" for number in (1, 2)]
    told = json.loads(done.stdout)
    assert (told["output"], told["seed"]) == ([str(path) for path in paths], 4)
    options = {"seed": 4, "steps": 5, "image": start, "strength": 0.6}
    wanted = model.generate_many([AWAY] * 2, **options)
    for path, picture in zip(paths, wanted, strict=True):
        with Image.open(path) as drawn:
            assert apart(drawn, picture) == 0
