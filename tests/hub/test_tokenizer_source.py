"""A tokenizer that comes from elsewhere than the weights, from the recipe to the lock."""

from __future__ import annotations

import json
import shutil

import pytest
from worlds.openelm_checkpoint import TEXT, make, write_tokenizer

import zoo
from zoo.catalogs.recipe import read_recipe
from zoo.testing.loopback_hub import LoopbackHub

pytestmark = pytest.mark.usefixtures("warm")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make(tmp_path_factory.mktemp("openelm") / "source")


RECIPE = """
schema = 1
family = "openelm"
title = "Tiny OpenELM"
summary = "for tests"
task = "text-generation"
license = "MIT"
parameters = 100_000
context = 256
[source]
{source}
{tokenizer}
[build.mlx-4bit]
format = "mlx"
optimize = [{{ kind = "quantize", bits = 4, group_size = 32 }}]
[build.mlx]
format = "mlx"
limits = {{ top1 = 0.99, kl = 0.0001 }}
[build.torch]
format = "torch"
[check]
inputs = ["check.txt"]
"""


def add(sandbox, source: str, tokenizer: str = "") -> None:
    """The model `mine`, from these sources."""
    if tokenizer:
        tokenizer = f"[tokenizer]\n{tokenizer}\n"
        tokenizer += 'files = [{ path = "tokenizer.json" }, { path = "tokenizer_config.json" }]'
    (sandbox.config / "check.txt").write_text(f"{TEXT} {TEXT}\n")
    catalog = 'schema = 1\n[models.mine]\ndefault = "v"\nvariants = { v = "v.toml" }\n'
    sandbox.catalog(catalog, v=RECIPE.format(source=source, tokenizer=tokenizer))


def test_a_folder_is_built_checked_and_quantized(sandbox, source):
    shutil.copytree(source, sandbox.config / "tiny")
    add(sandbox, 'folder = "tiny"')
    assert sandbox.zoo("build", "mine:v/mlx").returncode == 0
    report = sandbox.zoo("build", "mine:v/mlx-4bit")
    assert report.returncode == 0, report.stderr
    (built,) = (a for a in sandbox.artifacts() if "mlx-4bit" in a.name)
    config = json.loads((built / "data" / "config.json").read_text())
    assert "auto_map" not in config
    assert config["quantization"]["bits"] == 4
    assert not list((built / "data").glob("*.py"))
    for build in ("torch", "mlx", "mlx-4bit"):
        result = sandbox.zoo("run", f"mine:v/{build}", "the red cat", "--max-tokens", "5")
        assert result.returncode == 0, result.stderr
    assert not list(sandbox.folder.rglob("ran"))


def test_a_checkpoint_of_ones_own_keeps_its_tokenizer(sandbox, source):
    folder = shutil.copytree(source, sandbox.folder / "mine")
    result = sandbox.zoo("run", str(folder), "the red cat", "--format", "mlx", "--max-tokens", "5")
    assert result.returncode == 0, result.stderr
    assert not (sandbox.home / "zoo.lock").exists()
    assert not list(sandbox.folder.rglob("ran"))


def test_a_folder_without_a_tokenizer_is_not_given_that_of_another_model(sandbox, tmp_path):
    folder = make(tmp_path / "bare", tokenizer=False)
    result = sandbox.zoo("run", str(folder), "the red cat", "--format", "torch")
    assert result.returncode == 3
    assert "has no tokenizer" in result.stderr


def test_source_and_tokenizer_come_from_two_repositories(sandbox):
    hub_folder = sandbox.folder / "hub"
    make(hub_folder / "acme" / "tiny" / "main", tokenizer=False)
    write_tokenizer(hub_folder / "acme" / "words" / "main")
    files = 'files = [{ path = "config.json" }, { path = "model.safetensors" }]'
    add(
        sandbox,
        f'repo = "acme/tiny"\nbranch = "main"\n{files}',
        'repo = "acme/words"\nbranch = "main"',
    )
    with LoopbackHub(hub_folder) as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        result = sandbox.zoo("pull", "mine", env=online)
        assert result.returncode == 0, result.stderr
        commits = {name: hub.commit(f"acme/{name}", "main") for name in ("tiny", "words")}
    (pulled,) = sandbox.artifacts()
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (pulled / "data").iterdir()} == names
    assert all(path.is_symlink() for path in (pulled / "data").iterdir())
    lock = json.loads((sandbox.home / "zoo.lock").read_text())["sources"]
    assert {name: entry["commit"] for name, entry in lock.items()} == {
        f"acme/{name}@main": commit for name, commit in commits.items()
    }
    locked = {name: [file["path"] for file in entry["files"]] for name, entry in lock.items()}
    assert locked["acme/words@main"] == ["tokenizer.json", "tokenizer_config.json"]
    assert locked["acme/tiny@main"] == ["config.json", "model.safetensors"]
    assert json.loads(sandbox.zoo("plan", "mine", "--json").stdout)["pinned"] is True
    result = sandbox.zoo("run", "mine:v/mlx", "the red cat", "--max-tokens", "5")
    assert result.returncode == 0, result.stderr


def test_another_tokenizer_is_another_source(sandbox, source):
    shutil.copytree(source, sandbox.config / "tiny")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (sandbox.config / "tiny" / name).unlink()
    for words in ("first", "second"):
        write_tokenizer(sandbox.config / words)
        add(sandbox, 'folder = "tiny"', f'folder = "{words}"')
        assert sandbox.zoo("pull", "mine").returncode == 0
    assert len(sandbox.artifacts()) == 2
    assert not any(p.is_symlink() for a in sandbox.artifacts() for p in (a / "data").iterdir())


def test_a_tokenizer_must_be_listed_and_apart(tmp_path):
    source = 'folder = "tiny"\nfiles = [{ path = "tokenizer.json" }]'
    listed = '[tokenizer]\nfolder = "words"\nfiles = [{ path = "tokenizer.json" }]'
    for tokenizer, words in (
        ('[tokenizer]\nfolder = "words"', "must list the tokenizer's files"),
        (listed, "tokenizer.files: lists 'tokenizer.json', which the source has too"),
    ):
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE.format(source=source, tokenizer=tokenizer))
        with pytest.raises(zoo.RecipeError) as caught:
            read_recipe(path)
        assert words in caught.value.message
