"""`zoo new`: projects whose tests pass as they are, and recipes that zoo reads."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from zoo.testing import install_plugin, tiny


def install(sandbox, project: Path) -> None:
    """Install a project into the sandbox, as pip would."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    (package,) = (path for path in project.iterdir() if path.name.startswith("zoo_"))
    shutil.copytree(package, sandbox.site / package.name, dirs_exist_ok=True)
    extras = about.get("optional-dependencies", {})
    requires = [f"{line}; extra == '{extra}'" for extra, lines in extras.items() for line in lines]
    install_plugin(sandbox.site, about["name"], {}, about["entry-points"], requires=tuple(requires))


def run_tests(sandbox, project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "tests"]
    return subprocess.run(
        command, cwd=project, env=sandbox.env, capture_output=True, text=True, check=False
    )


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
    files = {file["path"]: file for file in recipe["source"]["files"]}
    assert len(files["model.safetensors"]["sha256"]) == 64
    assert "mlx-4bit" in recipe["build"]
    moved = made.stdout.replace(str(folder), "checkpoint")
    shutil.copytree(folder, sandbox.config / "checkpoint")
    catalog = 'schema = 1\n[models.mine]\ndefault = "x"\n[models.mine.variants]\nx = "mine.toml"\n'
    sandbox.catalog(catalog, mine=moved)
    shown = sandbox.zoo("show", "user/mine")
    assert shown.returncode == 0, shown.stderr


def test_a_measured_recipe_has_limits_that_hold(sandbox, tmp_path):
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
