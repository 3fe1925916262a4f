"""`zoo new`: projects whose tests pass as they are, and recipes that zoo reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest

from zoo.formats import Format
from zoo.scaffold.project import new_format, new_task
from zoo.tasks import Task
from zoo.testing import install_plugin, tiny
from zoo.testing.loopback_hub import LoopbackHub

pytestmark = pytest.mark.usefixtures("warm")
PYTEST = "import sys, pytest; sys.path.insert(0, ''); sys.exit(pytest.main(sys.argv[1:]))"
CATALOG = 'schema = 1\n[models.mine]\ndefault = "x"\n[models.mine.variants]\nx = "mine.toml"\n'


def install(sandbox, project: Path) -> None:
    """Install a project into the sandbox, as pip would."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    (package,) = (path for path in project.iterdir() if path.name.startswith("zoo_"))
    shutil.copytree(package, sandbox.site / package.name, dirs_exist_ok=True)
    extras = about.get("optional-dependencies", {})
    requires = [f"{line}; extra == '{extra}'" for extra, lines in extras.items() for line in lines]
    install_plugin(sandbox.site, about["name"], {}, about["entry-points"], requires=tuple(requires))


def run_tests(sandbox, project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["-q", "-p", "no:cacheprovider", *options, "tests"]
    return sandbox.server.run(PYTEST, command, sandbox.env, cwd=project)


@pytest.fixture
def begun(sandbox):
    """Makes a project of `zoo new`, and installs it."""

    def begin(*arguments: str) -> Path:
        made = sandbox.zoo("new", *arguments, cwd=sandbox.folder)
        assert made.returncode == 0, made.stderr
        project = sandbox.folder / made.stdout.strip()
        install(sandbox, project)
        return project

    return begin


def test_a_new_task_passes_its_tests_and_runs(sandbox, begun):
    project = begun("task", "sentence-embedding")
    tests = run_tests(sandbox, project)
    assert tests.returncode == 0, tests.stdout[-3000:]
    assert "failed" not in tests.stdout
    assert "sentence-embedding/vowels" in sandbox.zoo("list").stdout
    ran = sandbox.zoo("run", "sentence-embedding/vowels", "aab", "--digits", "2", "--json")
    assert json.loads(ran.stdout)["numbers"] == [0.67, 0.0, 0.0, 0.0, 0.0], ran.stderr
    wrong = sandbox.zoo("run", "sentence-embedding/vowels", "aab", "--digits", "99")
    assert wrong.returncode == 2
    assert "digits" in wrong.stderr
    assert sandbox.zoo("plugins", "--check").returncode == 0


def test_a_new_format_serves_other_peoples_models(sandbox, begun):
    project = begun("format", "half")
    tests = run_tests(sandbox, project, "-k", "TestMistral and not killed")
    assert tests.returncode == 0, tests.stdout[-3000:]
    assert "half-8bit" in sandbox.zoo("show", "mistral:mini").stdout
    ran = sandbox.zoo("run", "mistral:mini/half-8bit", "Once upon a time", "--max-tokens", "5")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_a_new_family_passes_its_tests_and_runs(sandbox, begun):
    project = begun("plugin", "acme", "--family", "llama", "--formats", "torch,mlx")
    assert len((project / "zoo_acme" / "__init__.py").read_text().splitlines()) <= 15
    tests = run_tests(sandbox, project, "-k", "not killed")
    assert tests.returncode == 0, tests.stdout[-3000:]
    ran = sandbox.zoo("run", "acme/tiny", "the sun", "--format", "mlx", "--max-tokens", "3")
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(sandbox.zoo("show", "acme/tiny", "--json").stdout)
    assert set(
        shown["builds"]
        if isinstance(shown["builds"], dict)
        else [b["name"] for b in shown["builds"]]
    ) == {"torch", "mlx"}


def test_the_recipe_of_a_folder_is_one_that_zoo_reads(sandbox, tmp_path):
    folder = tiny("mistral", tmp_path / "checkpoint")
    made = sandbox.zoo("new", "recipe", str(folder))
    assert made.returncode == 0, made.stderr
    recipe = tomllib.loads(made.stdout)
    assert recipe["parameters"] == 102720
    assert recipe["context"] == 256
    config = json.loads((folder / "config.json").read_text())
    heads = 2 * config["num_hidden_layers"] * config["num_key_value_heads"]
    assert recipe["cache_per_token"] == heads * config["head_dim"] * 2
    files = {file["path"]: file for file in recipe["source"]["files"]}
    assert len(files["model.safetensors"]["sha256"]) == 64
    assert "mlx-4bit" in recipe["build"]
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    shutil.copytree(folder, odd)
    refused = sandbox.zoo("new", "recipe", odd, "--to", str(tmp_path / "odd.toml"))
    assert (refused.returncode, "recipes are UTF-8, and it is not" in refused.stderr) == (2, True)
    moved = made.stdout.replace(str(folder), "checkpoint")
    shutil.copytree(folder, sandbox.config / "checkpoint")
    sandbox.catalog(CATALOG, mine=moved)
    shown = sandbox.zoo("show", "user/mine")
    assert shown.returncode == 0, shown.stderr


def test_limits_leave_room_on_the_side_where_a_figure_strays(sandbox):
    from zoo.catalogs.recipe import read_recipe
    from zoo.scaffold.recipe import limits_from

    target = sandbox.config / "mine.toml"
    folder = tiny("mistral", sandbox.config / "checkpoint")
    made = sandbox.zoo("new", "recipe", str(folder), "--to", str(target))
    assert made.stdout.strip() == str(target), made.stderr
    assert read_recipe(target).check is not None
    figures = {"top1": 0.95, "kl": 0.02, "positions": 1024.0}
    better = {"top1": "at least", "kl": "at most", "positions": None}
    assert limits_from(figures, better) == {"top1": 0.9374, "kl": 0.0251}


LLAMA = {
    "zoo_llama/__init__.py": """
from zoo.decoders import DecoderFamily
FAMILY = DecoderFamily("llama", "LlamaForCausalLM",
    biases={"attention_bias": ("q", "k", "v", "o"), "mlp_bias": ("gate", "up", "down")})
torch, mlx, coreml = FAMILY.torch, FAMILY.mlx, FAMILY.coreml
""",
    "zoo_llama/catalog.toml": CATALOG,
    "zoo_llama/mine.toml": """
schema = 1
family = "llama"
title = "Llama"
summary = "A family with a few builds"
task = "text-generation"
license = "MIT"
parameters = 1
source = { folder = "model", files = [{ path = "config.json" }] }
check = { inputs = ["check.txt"] }
[build.torch]
format = "torch"
[build.mlx-4bit]
format = "mlx"
optimize = [{ kind = "quantize", bits = 4, group_size = 64 }]
[build.coreml-fp16]
format = "coreml"
""",
    "zoo_llama/check.txt": "The sun is red and the sea is blue. A cat sat on the mat.\n" * 4,
}


def test_a_measured_recipe_has_limits_that_its_builds_keep(sandbox):
    """The limits are those of the figures, and `zoo check` passes with them."""
    install_plugin(sandbox.site, "coremltools", {}, {}, version="0.1")  # too old for any build
    families = {
        "llama.torch": "zoo_llama:torch",
        "llama.mlx": "zoo_llama:mlx",
        "llama.coreml": "zoo_llama:coreml [coreml]",
    }
    groups = {"zoo.families": families, "zoo.catalogs": {"acme": "zoo_llama:catalog.toml"}}
    requires = ("coremltools>=8; extra == 'coreml'",)
    install_plugin(sandbox.site, "zoo-llama", LLAMA, groups, requires=requires)
    target = sandbox.config / "mine.toml"
    folder = tiny("llama", sandbox.config / "checkpoint")
    made = sandbox.zoo("new", "recipe", str(folder), "--measure", "--to", str(target))
    assert made.returncode == 0, made.stderr
    assert "coreml-fp16 is not measured: " in made.stderr
    assert (sandbox.config / "check.txt").is_file()
    builds = tomllib.loads(target.read_text())["build"]
    assert {name for name, build in builds.items() if "limits" in build} == {"mlx-4bit"}
    limits = builds["mlx-4bit"]["limits"]
    assert 0 < limits["top1"] < 1
    assert limits["kl"] > 0
    sandbox.catalog(CATALOG)
    checked = sandbox.zoo("check", "user/mine:x/mlx-4bit", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    verdict = json.loads(checked.stdout)
    assert verdict["status"] == "passed"
    assert verdict["limits"] == limits


@pytest.fixture
def online(sandbox):
    """A Hub that has a checkpoint with a chat template and a card."""
    folder = tiny("mistral", sandbox.folder / "repositories" / "someone" / "tiny" / "main")
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with LoopbackHub(sandbox.folder / "repositories") as hub:
        sandbox.env |= {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        yield hub


def test_the_recipe_of_a_repository_is_pinned_without_fetching_its_weights(sandbox, online):
    made = sandbox.zoo("new", "recipe", "hf:someone/tiny")
    assert made.returncode == 0, made.stderr
    recipe = tomllib.loads(made.stdout)
    source = recipe["source"]
    assert (source["repo"], source["revision"]) == ("someone/tiny", online.commit("someone/tiny"))
    files = {file["path"]: file for file in source["files"]}
    weights = sandbox.folder / "repositories/someone/tiny/main/model.safetensors"
    assert files["model.safetensors"]["size"] == weights.stat().st_size
    assert files["model.safetensors"]["sha256"] == sha256(weights.read_bytes()).hexdigest()
    assert "pytorch_model.bin" not in files
    assert (recipe["parameters"], recipe["context"], recipe["chat"]) == (102720, 256, True)
    assert (recipe["license"], recipe["title"]) == ("Apache-2.0", "tiny")
    cached = sandbox.folder / "hf" / "hub" / "models--someone--tiny"
    assert not any(p.stat().st_size == weights.stat().st_size for p in cached.glob("blobs/*"))


def test_the_recipe_of_a_repository_is_one_that_zoo_pulls(sandbox, online):
    target = sandbox.config / "mine.toml"
    made = sandbox.zoo("new", "recipe", "hf:someone/tiny", "--to", str(target))
    assert made.stdout.strip() == str(target), made.stderr
    sandbox.catalog(CATALOG)
    pulled = sandbox.zoo("pull", "user/mine", "-q")
    assert pulled.returncode == 0, pulled.stderr
    shown = json.loads(sandbox.zoo("show", "user/mine", "--json").stdout)
    assert shown["source"]["pinned"]


@pytest.mark.parametrize(
    ("ref", "env", "code"),
    [
        ("hf:someone/none", {}, 3),
        ("hf:someone/tiny@nothing", {}, 3),
        ("hf:tiny", {}, 2),
        ("hf:someone/tiny", {"HF_HUB_OFFLINE": "1"}, 7),
    ],
)
def test_a_repository_that_cannot_be_read_has_its_code(sandbox, online, ref, env, code):
    target = sandbox.folder / "mine.toml"
    made = sandbox.zoo("new", "recipe", ref, "--to", str(target), env=env)
    assert made.returncode == code, made.stderr
    assert "Traceback" not in made.stderr
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["plugin", "acme"], "needs the family", 2),
        (["plugin", "acme", "--family", "mistral"], "'mistral.torch' is provided by zoo-ml", 2),
        (["plugin", "acme", "--family", "llamma"], "did you mean 'llama'", 3),
        (["plugin", "acme", "--family", "llama", "--formats", "onnx"], "has no format 'onnx'", 2),
        (["task", "Bad_Name"], "cannot be the name of a task", 2),
        (["task", "text-generation"], "is provided by zoo-ml", 2),
        (["format", "mlx"], "the format 'mlx' is provided by zoo-ml", 2),
        (["task", "mine", "--family", "llama"], "--family is for a plugin", 2),
        (["format", "half", "--to", "."], "exists already", 2),
        (["recipe", "mistral"], "has a recipe", 2),
        (["recipe", "./nothing"], "is not a folder", 3),
        (["recipe", "./nothing", "--measure"], "--to recipe.toml", 2),
        (["nothing", "x"], "nothing", 2),
    ],
)  # fmt: skip
def test_what_cannot_be_begun_is_said_in_one_sentence(sandbox, arguments, words, code):
    (sandbox.folder / "x").touch()
    made = sandbox.zoo("new", *arguments, cwd=sandbox.folder)
    assert (made.returncode, words in made.stderr) == (code, True), made.stderr
    assert "Traceback" not in made.stderr
    assert not list(sandbox.folder.glob("zoo-*"))


@pytest.mark.parametrize("name", ["1a", "none", "embedder", "options", "task", "format", "class"])
@pytest.mark.parametrize("kind", ["task", "format"])
def test_a_name_that_python_or_the_project_has_already_makes_a_class(
    tmp_path, monkeypatch, kind, name
):
    {"task": new_task, "format": new_format}[kind](name, tmp_path / "made")
    file = "task.py" if kind == "task" else "description.py"
    (source,) = (tmp_path / "made").rglob(file)
    made = ModuleType("made")
    monkeypatch.setitem(sys.modules, "made", made)
    exec(compile(source.read_text(), str(source), "exec"), vars(made))
    attribute = "TASK" if kind == "task" else "DESCRIPTION"
    points = tomllib.loads((tmp_path / "made" / "pyproject.toml").read_text())["project"]
    assert f":{attribute}" in str(points["entry-points"])
    assert isinstance(getattr(made, attribute), Task if kind == "task" else Format)
