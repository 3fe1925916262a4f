"""The tutorial for plugin authors, followed to the letter: its files written, its commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "plugins" / "tutorial.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.S | re.M)


def steps() -> list[tuple[str, str]]:
    """What a reader does, in order: ("file name", text) or ("$ command", what it prints)."""
    found: list[tuple[str, str]] = []
    for language, title, text in BLOCK.findall(TUTORIAL.read_text()):
        if title:
            found.append((title, text))
        elif language == "console":
            for command in re.split(r"^\$ ", text, flags=re.M)[1:]:
                line, _, printed = command.partition("\n")
                found.append((f"$ {line}", printed.strip()))
    return found


@pytest.mark.long
def test_the_tutorial_works(tmp_path: Path) -> None:
    pytest.importorskip("mlx")
    project, site = tmp_path / "zoo-llama", tmp_path / "site"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_"))}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
        "PYTHONPATH": str(site),
        "HF_HUB_OFFLINE": "1",
        **{name: str(tmp_path / name) for name in ("ZOO_HOME", "ZOO_CONFIG", "HF_HOME")},
    }
    commands = 0
    for what, text in steps():
        if not what.startswith("$ "):
            path = project / what
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            continue
        command = what.removeprefix("$ ").replace(
            "pip install -e .",
            f"python -m pip install -q --no-deps --no-build-isolation --no-index --target {site} .",
        )
        done = subprocess.run(
            command, shell=True, cwd=project, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        for line in text.splitlines():
            assert line in done.stdout, f"{command}\n{done.stdout}{done.stderr}"
        commands += 1
    assert commands >= 8
