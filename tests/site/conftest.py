"""A site that was written once, and a browser to look at it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Sandbox
from worlds.warm import Client

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as running:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = {
    "story": ("mistral", "Story writer", ("mlx-8bit", "mlx-4bit"), "check.txt"),
    "digits": ("whisper", "Digit listener", ("mlx-8bit",), "01.wav"),
    "shapes": ("stable-diffusion", "Shape painter", ("mlx-8bit",), "check.txt"),
}
"""Miniatures whose checks are short: name to family, title, builds to make, and input of the check."""

INPUTS = {
    "story": "Tom had a red ball. He went to the park with his friend. " * 3,
    "shapes": "a red ring\n",
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, server: Client) -> Path:
    """The site of the shipped catalog, and of a small one with checked builds of each task."""
    folder = tmp_path_factory.mktemp("site")
    sandbox = Sandbox(folder)
    sandbox.server = server
    models = [
        f'[models.{n}]\ndefault = "one"\nvariants = {{ one = "{n}/one.toml" }}' for n in SMALL
    ]
    sandbox.catalog("\n".join(["schema = 1", *models]))
    for name, (family, title, _, input) in SMALL.items():
        home = sandbox.config / name
        for part in RECIPES.joinpath(family).glob("mini*"):
            if part.is_dir():
                shutil.copytree(part, home / part.name)
        home.joinpath("one.toml").write_text(short(family, title, input))
        if name in INPUTS:
            home.joinpath(input).write_text(INPUTS[name])
        else:
            shutil.copy(RECIPES / family / "clips" / input, home / input)
    refs = [f"{name}/{build}" for name, row in SMALL.items() for build in row[2]]
    refs = [ref.replace("/", ":one/") for ref in refs]
    code = f"import zoo\nfor ref in {refs}: zoo.build(ref, listener=print)"
    done = sandbox.python(code)
    assert done.returncode == 0, done.stdout + done.stderr
    done = sandbox.zoo("site", str(folder / "made"))
    assert (done.returncode, done.stdout) == (0, f"{folder}/made/index.html\n"), done.stderr
    return folder / "made"


def short(family: str, title: str, input: str) -> str:
    """The recipe of a miniature, with another title and a check of one input."""
    text, _, _ = (RECIPES / family / "mini.toml").read_text().partition("[check]")
    text = re.sub("^title = .*", f'title = "{title}"', text, flags=re.M)
    text = re.sub("^limits = .*", "", text, flags=re.M)
    if family == "stable-diffusion":
        text = text.replace("[defaults]\n", "[defaults]\nsteps = 1\n")
    text = re.sub(r"\[build.coreml-mixed\].*?\n\n", "", text, flags=re.S)
    return f'{text}[check]\ninputs = ["{input}"]\n'
