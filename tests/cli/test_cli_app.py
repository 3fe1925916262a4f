"""`zoo app`: what an app ships, enough to run the model and to test it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Sandbox
from tokenizers import Tokenizer

from cli.world import Said, current, put
from zoo.catalogs.catalog import open_catalog
from zoo.catalogs.formats import format_of
from zoo.formats.coreml import open_program

BUILD = "mistral:mini/coreml-int4"


@pytest.fixture(scope="module")
def app(built: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a build for an app, and what its zoo.json says."""
    folder = tmp_path_factory.mktemp("app") / "App"
    said = built.zoo("app", BUILD, "--to", str(folder), "--json")
    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    described = json.loads((folder / "zoo.json").read_text(encoding="utf-8"))
    assert document["files"] == [file["path"] for file in described["files"]]
    assert document["examples"] == len(described["examples"]) == 2
    return folder, described


def test_resources_are_what_an_app_needs_and_no_more(app):
    folder, described = app
    resources = folder / "Resources"
    assert {path.name for path in resources.iterdir()} == {
        "model.mlpackage", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
        "config.json", "generation_config.json",
    }  # fmt: skip
    for file in described["files"]:
        data = (resources / file["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size"], file["sha256"])
    assert described["license"] == "Apache-2.0"
    assert described["minimum_os"] == "iOS18, macOS15"
    assert described["figures"]["top1"] > 0.9
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "Add the packages of `Resources` to the app target" in page
    assert "top1 0.9473" in page


@pytest.mark.parametrize("adapter", ["", "pirate"])
def test_an_example_is_reproduced_with_the_resources_alone(app, adapter):
    """As code of an app would: tokenizer, package and generation_config of the folder."""
    folder, described = app
    resources = folder / "Resources"
    (example,) = (e for e in described["examples"] if e["adapter"] == adapter)
    tokenizer = Tokenizer.from_file(str(resources / "tokenizer.json"))
    stop = json.loads((resources / "generation_config.json").read_text())["eos_token_id"]
    program = open_program(resources / "model.mlpackage", function=adapter or None)
    state, length = program.make_state(), 0
    tokens = prompt = tokenizer.encode(example["input"]).ids
    written: list[int] = []
    wanted = example["input"] + example["output"]
    while len(written) < 80:
        end = length + len(tokens)
        back = np.arange(length, end)[:, None] - np.arange(end)[None, :]
        inputs = {
            "inputIds": np.array([tokens], np.int32),
            "causalMask": np.where(back >= 0, 0, -40_000).astype(np.float16)[None, None],
            "logitIndices": np.array([len(tokens) - 1], np.int32),
        }
        tokens = [int(program.predict(inputs, state)["logits"].argmax())]
        length = end
        if tokens[0] == stop:
            break
        written += tokens
    text = tokenizer.decode([*prompt, *written])
    assert text.startswith(wanted) or wanted.startswith(text)
    assert len(text) > len(example["input"]) + 40


def test_images_have_the_names_of_apples_pipeline():
    recipe, _ = open_catalog().resolve("stable-diffusion:1.5")
    parts = ("text_encoder", "unet", "vae_decoder", "vae_encoder", "safety_checker")
    paths = [f"{part}.mlpackage/Manifest.json" for part in parts]
    paths += [f"tokenizer/{name}" for name in ("vocab.json", "merges.txt", "tokenizer_config.json")]
    paths += ["compression.json", "scheduler/scheduler_config.json", "model_index.json"]
    assert format_of("coreml").app_files(recipe, paths) == {
        "text_encoder.mlpackage/Manifest.json": "TextEncoder.mlpackage/Manifest.json",
        "unet.mlpackage/Manifest.json": "Unet.mlpackage/Manifest.json",
        "vae_decoder.mlpackage/Manifest.json": "VAEDecoder.mlpackage/Manifest.json",
        "vae_encoder.mlpackage/Manifest.json": "VAEEncoder.mlpackage/Manifest.json",
        "safety_checker.mlpackage/Manifest.json": "SafetyChecker.mlpackage/Manifest.json",
        "tokenizer/vocab.json": "vocab.json",
        "tokenizer/merges.txt": "merges.txt",
    }
    assert "StableDiffusionPipeline" in format_of("coreml").app_notes(recipe)


def test_a_folder_that_exists_and_one_in_nowhere_are_refused(sandbox: Sandbox, tmp_path: Path):
    place = tmp_path / "taken"
    place.mkdir()
    taken = sandbox.zoo("app", "mistral:mini/mlx", "--to", str(place))
    assert taken.returncode == 2
    assert "exists already" in taken.stderr
    nowhere = sandbox.zoo("app", "mistral:mini/mlx", "--to", str(place / "a" / "b"))
    assert nowhere.returncode == 3
    assert f"there is no folder '{place / 'a'}'" in nowhere.stderr
    assert not sandbox.artifacts(), "nothing is made before"
    assert not list(place.iterdir())


def test_a_corrupted_build_is_refused_and_leaves_nothing(
    zoo: Callable[..., Said], home: Path, tmp_path: Path
):
    entry = put(home, current("mlx-4bit"), build="mlx-4bit", format="mlx")
    weights = entry / "data" / "w.bin"
    weights.write_bytes(b"other" + weights.read_bytes()[5:])
    said = zoo("app", "tiny/mlx-4bit", "--to", str(tmp_path / "App"))
    assert said.code == 5, said.err
    assert not (tmp_path / "App").exists()
    assert not list(tmp_path.glob(".zoo-app*"))


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("mistral:mini/torch", "mlx"),
        ("whisper:mini/mlx", "coreml"),
        ("whisper:mini/torch", "coreml"),
    ],
)
def test_a_build_that_no_app_can_load_is_refused_before_it_is_made(
    zoo: Callable[..., Said], tmp_path: Path, name: str, instead: str
):
    said = zoo("app", name, "--to", str(tmp_path / "App"))
    assert said.code == 2
    assert "are not for apps" in said.err
    assert f"--format {instead}" in said.err
    assert "convert" not in said.err


def test_without_a_build_it_is_one_for_apps(built: Sandbox, tmp_path: Path):
    said = built.zoo("app", "mistral:mini", "--to", str(tmp_path / "App"), "--json", "-q")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["format"] == "mlx"
    assert "mlx-swift-lm" in (tmp_path / "App" / "README.md").read_text()
    assert (tmp_path / "App" / "Resources" / "model.safetensors").is_file()
