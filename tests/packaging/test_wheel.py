"""As a new user has it: the built wheel in a new virtual environment, with a plugin beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Sandbox
from worlds.new_plugins import BREAKS, World

ROOT = Path(__file__).parents[2]
ECHO = Path(__file__).parents[1] / "plugins" / "zoo_echo"


def build_wheel(project: Path, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, project],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> tuple[Path, Path]:
    """A new environment with both wheels; what they depend on comes from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    wheels = [build_wheel(ROOT, folder / "ours"), build_wheel(ECHO, folder / "theirs")]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", f"--python={python}", "install", "-q", "--no-deps", *wheels],
        check=True,
        capture_output=True,
    )
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return wheels[0], python.parent


def run(environment, sandbox, *command):
    env = {k: v for k, v in sandbox.env.items() if k != "PYTHONPATH"}
    command = (str(environment[1] / command[0]), *command[1:])
    return subprocess.run(
        command, env=env, cwd=sandbox.folder, capture_output=True, text=True, check=False
    )


def test_the_wheel_brings_code_catalog_recipes_and_plugins(environment):
    names = set(zipfile.ZipFile(environment[0]).namelist())
    for name in (
        "zoo/catalog.toml",
        "zoo/recipes/mistral/mini.toml",
        "zoo/recipes/mistral/mini/model.safetensors",
        "zoo_mistral/mlx.py",
        "zoo/py.typed",
        "zoo/site/assets/site.css",
        "zoo/site/templates/index.html",
    ):
        assert name in names
    assert not [n for n in names if "training" in n or n.startswith(("tests", "docs"))]


def test_the_installed_package_is_the_one_that_runs(environment, sandbox):
    result = run(environment, sandbox, "python", "-c", "import zoo; print(zoo.__file__)")
    assert str(environment[1].parent) in result.stdout


def test_a_model_runs_from_the_wheel(environment, sandbox):
    result = run(
        environment, sandbox, "zoo", "run", "mistral:mini/mlx", "Once upon a time", "--no-check"
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.split()) > 20


def test_a_plugin_installed_with_pip_is_found_and_runs(environment, sandbox):
    listed = run(environment, sandbox, "zoo", "plugins", "--json")
    assert "zoo-echo" in json.dumps(json.loads(listed.stdout))
    code = "import zoo; print(zoo.load('echo/echo:one/plain-loud')('hi'))"
    assert run(environment, sandbox, "python", "-c", code).stdout == "hi!!\n"


BEGUN = {
    "task": ("sentence-embedding",),
    "format": ("half",),
    "plugin": ("acme", "--family", "llama", "--formats", "torch"),
}


@pytest.fixture(scope="module")
def begun(environment, tmp_path_factory) -> Iterator[tuple[World, dict[str, Path]]]:
    """All that `zoo new` begins, outside of the repository, with nothing but the wheel."""
    sandbox = Sandbox(tmp_path_factory.mktemp("begun"))
    python, projects, wheels = environment[1] / "python", {}, []
    for kind, arguments in BEGUN.items():
        made = run(environment, sandbox, "zoo", "new", kind, *arguments, "-q")
        assert made.returncode == 0, made.stderr
        projects[kind] = sandbox.folder / made.stdout.strip()
        wheels.append(build_wheel(projects[kind], sandbox.folder / "wheels" / kind))
    pip = [sys.executable, "-m", "pip", f"--python={python}", "install", "-q", "--no-deps"]
    subprocess.run([*pip, *wheels], check=True, capture_output=True)
    site = next((environment[1].parent / "lib").glob("python*/site-packages"))
    world = World(sandbox, python, site)
    yield world, projects
    world.zygote.close()
    world.restore()


@pytest.mark.long
def test_new_plugins_are_seen_and_run(begun):
    world, _ = begun
    world.restore()
    code, listed, err = world.zoo("list")
    assert code == 0, err
    assert "sentence-embedding/vowels" in listed
    assert "acme/tiny" in listed
    assert "half-8bit" in world.zoo("show", "mistral:mini")[1]
    for plugin in world.plugins.values():
        code, out, err = world.run(plugin.ref)
        assert (code, bool(out.strip())) == (0, True), err
    code, out, err = world.zoo("plugins", "--check")
    assert code == 0, out + err


@pytest.mark.faults
@pytest.mark.parametrize("kind", BEGUN)
def test_new_plugins_pass_their_own_tests(environment, begun, kind):
    world, projects = begun
    world.restore()
    tests = [environment[1] / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        tests, cwd=projects[kind], env=world.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


LONG = ("exception after load",)
"""The ways to break plugins that `make long` tries; `make faults` tries all the others."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.long if n in LONG else pytest.mark.faults) for n in BREAKS],
)  # fmt: skip
def test_only_what_is_broken_stops(begun, name):
    """All three are broken at once: each says its own, and what is whole goes on."""
    (world, _), way = begun, BREAKS[name]
    world.restore()
    for plugin in world.plugins.values():
        way.how(plugin)
    for kind, plugin in world.plugins.items():
        words, expected = way.expected(kind, plugin)
        code, out, err = world.run(plugin.ref)
        assert (code, words in err) == (expected, True), f"{kind}: {err}"
        assert "Traceback" not in err
        assert "unexpected" not in err
        assert (out == "") == (expected != 0)
        assert "noise" not in out
    code, out, err = world.zoo("list")
    assert (code, "mistral:mini" in out) == (0, True), err
    code, out, err = world.run("mistral:mini/torch")
    assert code == 0, err
    assert out.strip()
    code, out, err = world.zoo("plugins", "--check")
    assert code == (8 if way.found else 0), err
    for plugin in world.plugins.values():
        assert not way.found or plugin.distribution in out + err


@pytest.mark.faults
def test_logits_that_are_no_numbers_are_found(begun):
    world, _ = begun
    world.restore()
    for kind in ("format", "plugin"):
        world.plugins[kind].model_method("logits", "return whole(*given) * float('nan')")
    code, out, err = world.zoo("check", "mistral:mini/half-8bit")
    assert code == 1, err
    assert "kl is nan, must be at most 0.05" in out + err
    code, out, err = world.zoo("plugins", "--contract", "llama.torch")
    assert code == 8, err
    assert "logits hold NaN or infinity" in out
    assert world.run("mistral:mini/torch")[0] == 0
