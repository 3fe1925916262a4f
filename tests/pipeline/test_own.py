"""Folders and repositories without a recipe: what is said of them is read from their own files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from zoo import api
from zoo.catalogs import recipe
from zoo.catalogs.reference import Reference
from zoo.errors import UsageError
from zoo.pipeline.own import adapter_name, license_of
from zoo.testing.loopback_hub import LoopbackHub

pytestmark = pytest.mark.usefixtures("warm")

RECIPES = Path(__file__).parents[2] / "recipes"
TEXT, PICTURES = RECIPES / "mistral" / "mini", RECIPES / "stable-diffusion" / "mini"
COUNT = {TEXT: 2877888, PICTURES: 3805971}


def show(sandbox, ref: str, *more: str, **options):
    done = sandbox.zoo("show", ref, "--json", *more, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def text(sandbox):
    return Path(shutil.copytree(TEXT, sandbox.folder / "text"))


@pytest.mark.parametrize(("folder", "dtype"), [(TEXT, "BF16"), (PICTURES, "F16")])
def test_weights_are_counted_by_their_headers_in_subfolders_too(sandbox, folder, dtype):
    shown = show(sandbox, str(folder))
    assert shown["parameters"] == COUNT[folder]
    assert shown["dtypes"] == {dtype: COUNT[folder]}
    torch_build = next(build for build in shown["builds"] if build["format"] == "torch")
    assert torch_build["memory_bytes"] == pytest.approx(COUNT[folder] * 4.4 + 4e8, rel=1e-6)


def test_float32_a_second_copy_and_shards_are_counted_once(sandbox, text):
    weights = load_file(text / "model.safetensors")
    save_file({n: w.float() for n, w in weights.items()}, text / "model.safetensors")
    save_file(weights, text / "consolidated.safetensors")
    shown = show(sandbox, "./text", cwd=sandbox.folder)
    assert shown["parameters"] == COUNT[TEXT]
    assert shown["source"]["bytes"] == 4 * COUNT[TEXT]
    mlx = next(build for build in shown["builds"] if build["name"] == "mlx")
    assert mlx["bytes"] == 4 * COUNT[TEXT]


def test_nothing_of_the_familys_other_recipes_is_borrowed(sandbox, text):
    (text / "README.md").write_text("---\nlanguage: en\nlicense: cc-by-4.0\n---\n# Mine\n")
    shown = show(sandbox, "./text", cwd=sandbox.folder)
    like = show(sandbox, "mistral")
    assert shown["license"] == "cc-by-4.0"
    assert shown["context"] == 1024
    assert shown["tokenizer"] is None
    assert shown["adapters"] == {}
    assert shown["check"]["limits"] == {}
    assert shown["title"] == "text"
    assert not shown["source"]["pinned"]
    bits = {build["name"]: build["bits_per_weight"] for build in like["builds"]}
    assert bits.keys() == {build["name"] for build in shown["builds"]}


def test_a_folder_is_the_same_model_from_wherever_it_is_named(sandbox, text):
    other = sandbox.folder / "other" / "text"
    shutil.copytree(TEXT, other)
    done = sandbox.zoo("build", "./text", "--build", "mlx", "--no-check", "-q", cwd=sandbox.folder)
    assert done.returncode == 0, done.stderr
    assert show(sandbox, "./text", cwd=sandbox.folder)["ref"] == str(text)
    assert show(sandbox, "../text", cwd=sandbox.folder / "other")["ref"] == str(text)
    kept = sandbox.zoo("prune", "--old", "--dry-run", cwd=other.parent)
    assert "nothing to remove" in kept.stdout, kept.stdout
    assert sandbox.zoo("rm", "./text", "-y", cwd=other.parent).returncode == 3
    assert sandbox.zoo("rm", "./text", "-y", cwd=sandbox.folder).returncode == 0
    assert sandbox.artifacts() == []


def test_a_folder_written_without_its_dot_is_pointed_out(sandbox, text):
    done = sandbox.zoo("show", "text", cwd=sandbox.folder)
    assert done.returncode == 3
    assert "write ./text" in done.stderr


def test_a_quantized_checkpoint_has_as_many_weights_as_before(sandbox, text):
    from mlx_lm.convert import convert

    convert(str(text), str(sandbox.folder / "four"), quantize=True, q_bits=4, q_group_size=32)
    assert show(sandbox, "./four", cwd=sandbox.folder)["parameters"] == COUNT[TEXT]


@pytest.fixture
def online(sandbox, text):
    """A Hub with the repository `someone/tiny`."""
    root = sandbox.folder / "repositories"
    shutil.copytree(text, root / "someone" / "tiny" / "main")
    with LoopbackHub(root) as hub:
        sandbox.env |= {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        yield hub


def test_a_repository_is_described_without_fetching_its_weights(sandbox, online):
    shown = show(sandbox, "hf:someone/tiny")
    assert (shown["parameters"], shown["family"]) == (COUNT[TEXT], "mistral")
    assert shown["context"] == 1024
    assert max(build["memory_bytes"] for build in shown["builds"]) < 1e9
    cached = sandbox.folder / "hf" / "hub" / "models--someone--tiny"
    assert sum(path.stat().st_size for path in cached.glob("blobs/*")) < 100_000
    assert sandbox.zoo("pull", "hf:someone/tiny", "-q").returncode == 0
    offline = {"HF_HUB_OFFLINE": "1"}
    assert show(sandbox, "hf:someone/tiny", env=offline)["parameters"] == COUNT[TEXT]


def test_a_repository_that_cannot_be_looked_at_has_its_code(sandbox, online):
    assert sandbox.zoo("show", "hf:someone/none").returncode == 3
    done = sandbox.zoo("show", "hf:someone/tiny", env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 7, done.stderr
    done = sandbox.zoo("show", "hf:tiny")
    assert done.returncode == 2
    assert "write hf:owner/name" in done.stderr


def test_a_reference_is_a_name_a_folder_or_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Reference.parse("mistral:mini").kind == "catalog"
    assert str(Reference.parse("./a/../b")) == str(tmp_path / "b")
    assert str(Reference.parse(Path("b"))) == str(tmp_path / "b")
    assert str(Reference.parse("hf:a/b@v1.0")) == "hf:a/b@v1.0"
    assert Reference.parse("hf:a/b").source.branch == "main"
    assert Reference.parse(f"hf:a/b@{'0' * 40}").source.revision == "0" * 40
    for wrong in ("hf:a", "hf:a/b/c", "hf:"):
        with pytest.raises(UsageError, match="is not a repository"):
            Reference.parse(wrong)
    with pytest.raises(UsageError, match="is not the name of a branch"):
        _ = Reference.parse("hf:a/b@../x").source


def test_every_adapter_has_a_name_of_its_own():
    folders = ["./海盗", "./宝藏", "./Пират", "./main", "./pirate", "./-", "./é", "./Ü b", "./🏴"]
    names = [adapter_name(Reference.parse(folder), ("pirate",), ("main",)) for folder in folders]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and name == name.lower() and name for name in names)
    assert not {"", "main", "pirate"} & set(names)
    assert adapter_name(Reference.parse("./My Style"), (), ()) == "my-style"
    assert adapter_name(Reference.parse("hf:someone/Ink"), (), ()) == "ink"


def test_an_adapter_of_ones_own_does_not_replace_that_of_the_recipe(sandbox, monkeypatch):
    for name, value in sandbox.env.items():
        if name.startswith(("ZOO_", "HF_")):
            monkeypatch.setenv(name, value)
    mine = Path(shutil.copytree(RECIPES / "mistral" / "mini-pirate", sandbox.folder / "pirate"))
    tensors = load_file(mine / "adapter_model.safetensors")
    zeros = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    save_file(zeros, mine / "adapter_model.safetensors")
    with api.load("mistral:mini/mlx", adapter=str(mine), check=False, listener=lambda e: None) as m:
        off = m.logits([1, 5, 9])
        assert m.adapter != "pirate"
        m.use("pirate")
        assert abs(m.logits([1, 5, 9]) - off).max() > 0.1, "the recipe's own is there too"
        m.use(None)
        assert abs(m.logits([1, 5, 9]) - off).max() < 1e-4, "mine adds nothing"


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: 'apache-2.0'\ntags: [a]\n---\n", "apache-2.0"),
        ("license: mit\n", None),
        ("---\ntags: [a]\n---\nlicense: mit\n", None),
        ("---\nlicense: [a, b]\n---\n", None),
        ("", None),
    ],
)
def test_the_license_is_that_of_the_model_card(card, license):
    assert license_of(card) == license


def test_the_recipe_of_a_folder_reads_one_recipe_of_its_family(sandbox, text, monkeypatch):
    """Browsing knows the families of all recipes already, and loading starts faster."""
    monkeypatch.setenv("ZOO_HOME", str(sandbox.home))
    monkeypatch.setenv("ZOO_CONFIG", str(sandbox.config))
    list(api.catalog())
    read: list[Path] = []
    whole = recipe.read_recipe
    monkeypatch.setattr(recipe, "read_recipe", lambda *a, **k: read.append(a) or whole(*a, **k))
    assert api.show(str(text)).family == "mistral"
    assert len(read) == 1


def test_the_images_of_a_pipeline_of_ones_own_are_part_of_its_memory(monkeypatch, sandbox):
    monkeypatch.setenv("ZOO_HOME", str(sandbox.home))
    monkeypatch.setenv("ZOO_CONFIG", str(sandbox.config))
    shipped = api.show("stable-diffusion:mini").activation_bytes
    assert api.show(str(PICTURES)).activation_bytes == pytest.approx(shipped, rel=0.01)
    config = json.loads((PICTURES / "unet" / "config.json").read_text())
    larger = Path(shutil.copytree(PICTURES, sandbox.folder / "larger"))
    (larger / "unet" / "config.json").write_text(json.dumps({**config, "sample_size": [16, 32]}))
    grown = api.show(str(larger)).activation_bytes
    assert grown == pytest.approx(8 * shipped, rel=0.01)
    (larger / "unet" / "config.json").write_text(json.dumps({**config, "sample_size": "wide"}))
    assert api.show(str(larger)).activation_bytes is None
