"""What shells complete, asked as they ask."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ZOO, Sandbox

BASH = """
source <(zoo completion bash 2>/dev/null)
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE}
    COMPREPLY=()
    _zoo_completion zoo
    echo "${COMPREPLY[*]}"
done
"""
LINES = {
    "zoo sh": {"show"},
    "zoo show mistral:mini/coreml-i": {"mini/coreml-int4"},  # bash has the part before the colon
    "zoo show mistral:7b-instruct-v0.": {
        "7b-instruct-v0.1",
        "7b-instruct-v0.2",
        "7b-instruct-v0.3",
    },
    "zoo show sdx": {"sdxl", "sdxl-turbo"},
    "zoo run mistral:mini --adapter ": {"pirate"},
    "zoo run whisper:mini --lan": {"--language"},
    "zoo run mistral:mini --langu": set(),
    "zoo build mistral:mini --build mlx-4": {"mlx-4bit"},
    "zoo plan mistral:mini --format m": {"mlx"},
    "zoo run ./folder --family open": {"openelm"},
    "zoo list --license perm": {"permissive"},
    "zoo list --task sp": {"speech"},
    "zoo rm ": set(),
    "zoo nothing ": set(),
    "zoo show 'mis": {"mistral"},
}


@pytest.fixture(scope="module")
def shells(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("completion"))
    sandbox.env["PATH"] = f"{Path(ZOO).parent}:{sandbox.env['PATH']}"
    return sandbox


def test_bash_completes(shells: Sandbox) -> None:
    asked = "".join(f"{line}\n" for line in LINES)
    done = subprocess.run(
        ["bash", "-c", BASH],
        input=asked,
        env=shells.env,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = done.stdout.splitlines()
    assert done.stderr == ""
    for (line, expected), answer in zip(LINES.items(), answers, strict=True):
        found = set(answer.split())
        assert found == expected if expected != {"mistral"} else "mistral" in found, line


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes(shells: Sandbox) -> None:
    code = "zoo completion fish 2>/dev/null | source; complete -C 'zoo show mistral:mini/coreml-i'"
    done = subprocess.run(
        ["fish", "-c", code], env=shells.env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == "mistral:mini/coreml-int4"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_takes_the_script(shells: Sandbox) -> None:
    code = "autoload -U compinit; compinit -u; source <(zoo completion zsh 2>/dev/null); print $_comps[zoo]"
    done = subprocess.run(
        ["zsh", "-fc", code], env=shells.env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "_zoo_completion\n"


def test_a_title_cannot_steer_the_terminal(shells: Sandbox, tmp_path: Path) -> None:
    recipe = (Path(__file__).parents[2] / "recipes/mistral/zephyr-7b-beta.toml").read_text()
    sandbox = Sandbox(tmp_path)
    evil = recipe.replace("Zephyr 7B Beta", "\\u001b]0;owned\\u0007\\nplain,\\u202eevil")
    evil = evil[: evil.index("[check]")]
    catalog = 'schema = 1\n[models.evil]\ndefault = "a"\nvariants = { a = "a.toml" }\n'
    sandbox.catalog(catalog, a=evil)
    line = {"COMP_LINE": "zoo show evi", "COMP_WORDS": "zoo show evi", "COMP_CWORD": "2"}
    for shell in ("bash", "zsh", "fish"):
        cword = "evi" if shell == "fish" else "2"
        env = {**line, "COMP_CWORD": cword, "_ZOO_COMPLETE": f"{shell}_complete"}
        done = sandbox.zoo(env=env)
        assert done.returncode == 0
        assert "evil" in done.stdout
        assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr), shell


def test_a_broken_catalog_completes_what_it_can(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    (sandbox.config / "catalog.toml").write_text("schema = [")
    env = {"COMP_LINE": "zoo show mistral:min", "_ZOO_COMPLETE": "bash_complete"}
    done = sandbox.zoo(env=env)
    assert "plain,mistral:mini" in done.stdout.splitlines()
    assert done.stderr == ""
