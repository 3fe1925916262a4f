"""The miniature that draws, from the command line and from Python, in every format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from zoo.check_pictures import measure_pictures
from zoo.checks import judge, limits_of
from zoo.errors import RecipeError
from zoo.recipe import read_recipe
from zoo_stable_diffusion.reader import PLACES, parse, read, shows
from zoo_stable_diffusion.torch import TorchStableDiffusion

HOME = Path(__file__).parents[1] / "recipes" / "stable-diffusion"
RECIPE = read_recipe(HOME / "mini.toml")
PROMPTS = HOME / "mini-check.txt"
PACKAGE = "unet.mlpackage"


@pytest.fixture(scope="module")
def mini() -> TorchStableDiffusion:
    model = TorchStableDiffusion(HOME / "mini")
    model.add_adapters({name: HOME / source.folder for name, source in RECIPE.adapter.items()})
    model.defaults = RECIPE.defaults
    return model


def size(package: Path) -> int:
    return sum(path.stat().st_size for path in package.rglob("*") if path.is_file())


@pytest.mark.parametrize("format", ["torch", "mlx", "coreml"])
def test_a_blue_square_is_drawn_from_the_command_line(built, tmp_path, format):
    target = tmp_path / "square.png"
    line = ("run", "stable-diffusion:mini", "a blue square", "--seed", "1", "--format", format)
    done = built.zoo(*line, "-o", str(target), "--quiet")
    assert done.returncode == 0, done.stderr
    found = read(np.asarray(Image.open(target)))
    assert (found.colour, found.shape) == ("blue", "square")


def test_held_out_prompts_are_drawn_right(mini):
    import pictures

    wanted = pictures.held_out()[:40]
    drawn = mini.generate_many([prompt.text for prompt in wanted], seed=100)
    right = sum(shows(np.asarray(one), prompt) for one, prompt in zip(drawn, wanted, strict=True))
    assert right >= 0.85 * len(wanted)


@pytest.mark.parametrize("build", ["coreml-fp16", "coreml-6bit", "mlx-4bit"])
def test_builds_pass_their_check(built, build):
    done = built.zoo("check", f"stable-diffusion:mini/{build}", "--json")
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["pictures"] == len(PROMPTS.read_text().splitlines())
    assert {f"{style}:unet_psnr" for style in RECIPE.adapter} <= metrics.keys()


def test_a_damaged_model_fails(tmp_path, mini):
    bad = tmp_path / "bad"
    shutil.copytree(HOME / "mini", bad)
    path = bad / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["mid_block.resnets.0.conv1.weight"] *= -1
    save_file(weights, path, metadata={"format": "pt"})

    def damaged() -> TorchStableDiffusion:
        model = TorchStableDiffusion(bad)
        model.defaults = RECIPE.defaults
        return model

    def whole() -> TorchStableDiffusion:
        model = TorchStableDiffusion(HOME / "mini")
        model.defaults = RECIPE.defaults
        return model

    figures = measure_pictures([PROMPTS], whole, damaged, shows)
    for name, build in RECIPE.build.items():
        if build.format != "torch":
            assert judge(figures, limits_of(RECIPE, build), {}).status == "failed", name
    same = measure_pictures([PROMPTS], whole, whole)
    assert {value for name, value in same.items() if name.endswith("_psnr")} == {200}
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(RecipeError, match="have no prompt"):
        measure_pictures([tmp_path / "empty.txt"], whole, whole)


def test_styles_change_what_is_drawn(mini):
    prompt = "a large red circle in the middle"
    options = {"seed": 5}
    plain = np.asarray(mini.generate(prompt, **options), float)
    mini.use("night")
    night = np.asarray(mini.generate(prompt, **options), float)
    mini.use("outline")
    outline = np.asarray(mini.generate(prompt, **options), float)
    mini.use(None)
    assert np.array_equal(plain, np.asarray(mini.generate(prompt, **options), float))
    assert plain[:4].mean() > 200
    assert night[:4].mean() < 80
    assert read(plain).shape == "circle"
    assert read(outline).shape == "ring"  # a circle of which the edge alone is drawn


def test_a_package_with_two_styles_is_little_larger(built, tmp_path):
    code = (
        "import zoo; m = zoo.load('stable-diffusion:mini/coreml-fp16', adapter='night');"
        f"m.generate('a red ring', seed=3).save({str(tmp_path / 'night.png')!r});"
        "m.use(None);"
        f"m.generate('a red ring', seed=3).save({str(tmp_path / 'plain.png')!r});"
        "a = zoo.build('stable-diffusion:mini', build='coreml-fp16'); print(a.path)"
    )
    done = built.python(code)
    assert done.returncode == 0, done.stderr
    package = Path(done.stdout.split()[-1]) / PACKAGE
    from zoo.formats.coreml.package import Package

    opened = Package(package)
    main, *styles = opened.functions
    assert styles == list(RECIPE.adapter)
    branches = sum(source.files[0].size for source in RECIPE.adapter.values())
    alone = opened.function(main)[1].ByteSize()
    added = sum(opened.function(style)[1].ByteSize() for style in styles) + branches
    assert size(package) <= 1.25 * (size(package) - added)
    assert alone > 0
    night, plain = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("night", "plain"))
    assert night[:4].mean() < 80
    assert plain[:4].mean() > 200


@pytest.mark.parametrize("text", ["a fox", "a red fox", "circle"])
def test_the_reader_refuses_prompts_that_it_cannot_judge(text):
    from zoo.errors import InputError

    with pytest.raises(InputError, match="names no shape and colour"):
        parse(text)


def test_the_reader_takes_prompts_apart():
    for place in PLACES:
        found = parse(f"a small orange ring {place}")
        assert (found.colour, found.shape, found.size, found.place) == (
            "orange", "ring", "small", place,
        )  # fmt: skip
