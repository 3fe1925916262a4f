"""The miniature that draws, from the command line and from Python, in every format."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from zoo.catalogs.recipe import read_recipe
from zoo.errors import InputError, RecipeError
from zoo.formats.coreml.package.reader import Package
from zoo.pipeline.checks import limits_of
from zoo.tasks.pictures.check import measure_pictures
from zoo.tasks.pictures.task import TASK
from zoo.tasks.verdict import judge
from zoo_stable_diffusion.reader import PLACES, parse, read, shows
from zoo_stable_diffusion.torch import TorchStableDiffusion

HOME = Path(__file__).parents[3] / "recipes" / "stable-diffusion"
RECIPE = read_recipe(HOME / "mini.toml")
PROMPTS = HOME / "mini-check.txt"
PACKAGE = "unet.mlpackage"


@pytest.fixture(scope="module")
def mini() -> TorchStableDiffusion:
    model = TorchStableDiffusion(HOME / "mini")
    model.add_adapters({name: HOME / source.folder for name, source in RECIPE.adapter.items()})
    model.defaults = RECIPE.defaults
    return model


@pytest.mark.parametrize("format", ["torch", "mlx", "coreml"])
def test_a_blue_square_is_drawn_from_the_command_line(built, tmp_path, format):
    target = tmp_path / "square.png"
    line = ("run", "stable-diffusion:mini", "a blue square", "--seed", "1", "--format", format)
    done = built.zoo(*line, "-o", str(target), "--quiet", "--no-check")
    assert done.returncode == 0, done.stderr
    found = read(np.asarray(Image.open(target)))
    assert (found.color, found.shape) == ("blue", "square")


def test_held_out_prompts_are_drawn_right(mini):
    import pictures

    wanted = pictures.held_out()[:40]
    drawn = mini.generate_many([prompt.text for prompt in wanted], seed=100)
    right = sum(shows(np.asarray(one), prompt) for one, prompt in zip(drawn, wanted, strict=True))
    assert right >= 0.85 * len(wanted)


@pytest.mark.parametrize(
    "build",
    [
        "coreml-6bit",
        "coreml-fp16",
        "mlx-4bit",
    ],
)
@pytest.mark.long
def test_builds_pass_their_check(built, build):
    done = built.zoo("check", f"stable-diffusion:mini/{build}", "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    metrics = verdict["metrics"]
    if "coreml" in build:
        found = {finding["id"] for finding in verdict["lint"]["findings"]}
        assert found == {"A5", "A15", "A21", "A23", "A26", "L22"}
    assert metrics["pictures"] == len(PROMPTS.read_text().splitlines())
    assert {f"{style}:unet_psnr" for style in RECIPE.adapter} <= metrics.keys()


def test_a_damaged_model_fails(tmp_path, mini):
    bad = tmp_path / "bad"
    shutil.copytree(HOME / "mini", bad)
    path = bad / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["down_blocks.0.resnets.0.conv1.weight"] *= -1
    save_file(weights, path, metadata={"format": "pt"})

    def loaded(folder: Path) -> TorchStableDiffusion:
        model = TorchStableDiffusion(folder)
        model.defaults = {**RECIPE.defaults, "steps": 5}
        return model

    damaged, whole = partial(loaded, bad), partial(loaded, HOME / "mini")

    few = tmp_path / "few.txt"
    few.write_text("".join(PROMPTS.read_text().splitlines(keepends=True)[:2]))
    figures = measure_pictures([few], whole, damaged, shows)
    for name, build in RECIPE.build.items():
        if build.format != "torch":
            assert judge(TASK, figures, limits_of(RECIPE, build), {}).status == "failed", name
    same = measure_pictures([few], whole, whole)
    assert {value for name, value in same.items() if name.endswith("_psnr")} == {200}
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(RecipeError, match="have no prompt"):
        measure_pictures([tmp_path / "empty.txt"], whole, whole)


def middle(picture: np.ndarray) -> np.ndarray:
    """The mean color in the middle of a picture."""
    return picture[28:36, 28:36].reshape(-1, 3).mean(0)


def test_styles_change_what_is_drawn(mini):
    prompt, drawn = "a large red circle in the middle", {}
    for style in (None, *RECIPE.adapter, None):
        mini.use(style)
        picture = np.asarray(mini.generate(prompt, seed=5), float)
        assert np.array_equal(drawn.setdefault(style, picture), picture)
    assert read(drawn[None]).shape == "circle"
    assert middle(drawn[None]).argmax() == 0
    assert middle(drawn["ink"]).argmax() == 2
    assert read(drawn["outline"]).shape == "ring"  # the edge of a circle alone


def test_styles_are_combined_from_the_command_line(built, tmp_path, mini):
    target, prompt = tmp_path / "both.png", "a large red circle in the middle"
    styles = ("--adapter", "ink=0.6", "--adapter", "outline=0.4")
    line = ("run", "stable-diffusion:mini", prompt, "--seed", "5", *styles, "--no-check")
    done = built.zoo(*line, "--format", "torch", "-o", str(target), "--quiet")
    assert done.returncode == 0, done.stderr
    mini.use({"ink": 0.6, "outline": 0.4})
    wanted = np.asarray(mini.generate(prompt, seed=5), float)
    mini.use(None)
    assert np.abs(np.asarray(Image.open(target), float) - wanted).max() <= 2
    refused = built.zoo(*line, "--format", "coreml", "-o", str(tmp_path / "none.png"))
    assert refused.returncode == 2
    assert "the format 'coreml' runs one adapter at a time" in refused.stderr


def test_a_package_with_two_styles_is_little_larger(built, tmp_path):
    prompt = "a large red circle in the middle"
    code = f"""
import zoo
model = zoo.load("stable-diffusion:mini/coreml-fp16", adapter="ink", check=False)
model.generate({prompt!r}, seed=5).save("ink.png")
model.use(None)
model.generate({prompt!r}, seed=5).save("plain.png")
print(zoo.build("stable-diffusion:mini", build="coreml-fp16", check=False).path)
"""
    done = built.python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    home = Path(done.stdout.split()[-1])
    opened = Package(home / PACKAGE)
    styles = opened.functions[1:]
    assert sorted(styles) == sorted(RECIPE.adapter)
    weights = sum(source.files[0].size for source in RECIPE.adapter.values())
    programs = sum(opened.function(style)[1].ByteSize() for style in styles)
    whole = sum(path.stat().st_size for path in (home / PACKAGE).rglob("*") if path.is_file())
    assert 1.1 < whole / (whole - weights - programs) <= 1.25
    ink, plain = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("ink", "plain"))
    assert middle(plain).argmax() == 0
    assert middle(ink).argmax() == 2


@pytest.mark.parametrize("text", ["a fox", "a red fox", "circle"])
def test_the_reader_refuses_prompts_that_it_cannot_judge(text):
    with pytest.raises(InputError, match="does not name a known shape and color"):
        parse(text)


def test_the_reader_takes_prompts_apart():
    for place in PLACES:
        found = parse(f"a small orange ring {place}")
        assert (found.color, found.shape, found.size, found.place) == (
            "orange", "ring", "small", place,
        )  # fmt: skip
