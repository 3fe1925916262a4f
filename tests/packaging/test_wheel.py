"""As a new user has it: the built wheel in a new virtual environment, with a plugin beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

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
BROKEN = {
    "zoo_sentence_embedding/model.py": ("sentence-embedding/vowels", "sentence-embedding.plain"),
    "zoo_half/hooks.py": ("mistral:mini/half", "half"),
    "zoo_acme/__init__.py": ("acme/tiny", "llama.torch"),
}


@pytest.mark.faults
def test_new_plugins_install_pass_their_tests_run_and_break_alone(environment, sandbox):
    """All that `zoo new` begins, outside of the repository, with nothing but the wheel."""
    python = environment[1] / "python"
    for kind, arguments in BEGUN.items():
        made = run(environment, sandbox, "zoo", "new", kind, *arguments, "-q")
        assert made.returncode == 0, made.stderr
        project = sandbox.folder / made.stdout.strip()
        wheel = build_wheel(project, sandbox.folder / "wheels" / kind)
        pip = [sys.executable, "-m", "pip", f"--python={python}", "install", "-q", "--no-deps"]
        subprocess.run([*pip, wheel], check=True, capture_output=True)
        tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
        done = subprocess.run(
            tests,
            cwd=project,
            env={**sandbox.env, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:]
    listed = run(environment, sandbox, "zoo", "list").stdout
    assert "sentence-embedding/vowels" in listed
    assert "acme/tiny" in listed
    assert "half-8bit" in run(environment, sandbox, "zoo", "show", "mistral:mini").stdout
    site = next((environment[1].parent / "lib").glob("python*/site-packages"))
    for path, (ref, name) in BROKEN.items():
        works = run(environment, sandbox, "zoo", "run", ref, "the sun is red", "--no-check")
        assert works.returncode == 0, works.stderr
        code = (site / path).read_text()
        (site / path).write_text(code + "\n1 +\n")
        broken = run(environment, sandbox, "zoo", "run", ref, "the sun is red", "--no-check")
        assert broken.returncode == 8, broken.stderr
        assert f"'{name}'" in broken.stderr
        assert "SyntaxError" in broken.stderr
        assert run(environment, sandbox, "zoo", "list").returncode == 0
        other = run(environment, sandbox, "zoo", "run", "mistral:mini/torch", "Once", "--no-check")
        assert other.returncode == 0, other.stderr
        (site / path).write_text(code)
