"""Adapters: in recipes, of one's own, at run time, and in checks."""

from __future__ import annotations

import json

import pytest

PLUGIN = """
from collections.abc import Mapping
from pathlib import Path
import zoo

class Speaker(zoo.Model):
    def __init__(self, words, adapters):
        self.words, self.folders, self.adapters = words, adapters, sorted(adapters)
    def switch(self, adapter):
        folder = self.folders.get(adapter)
        self.style = (folder / "style.txt").read_text() if folder else ""
    def __call__(self, prompt, **options):
        return self.style + prompt

@zoo.hookimpl
def convert(source, adapters, workdir):
    (workdir / "words").write_text(" ".join(sorted(adapters)))
    return workdir

@zoo.hookimpl
def run(artifact: Path, adapters: Mapping[str, Path]) -> Speaker:
    return Speaker((artifact / "words").read_text(), adapters)
"""
RECIPE = """
schema = 1
family = "echo"
title = "Speaker"
summary = "speaks"
task = "echo"
license = "MIT"
parameters = 1
source = { folder = "base" }
[adapter.loud]
folder = "loud"
[build.plain]
format = "plain"
"""


@pytest.fixture
def speaker(sandbox):
    sandbox.echo(PLUGIN)
    sandbox.catalog(
        'schema = 1\n[models.speaker]\ndefault = "v"\nvariants = { v = "v.toml" }\n', v=RECIPE
    )
    for name in ("base", "loud", "mine"):
        (sandbox.config / name).mkdir()
        (sandbox.config / name / "config.json").write_text("{}")
        (sandbox.config / name / "style.txt").write_text(name + ": ")
    return sandbox


def test_an_adapter_is_chosen_at_load_and_changed_after(speaker):
    done = speaker.python(
        "import zoo\n"
        "m = zoo.load('speaker', adapter='loud')\n"
        "print(m('hi'), m.adapter, m.adapters)\n"
        "m.use(None)\n"
        "print(m('hi'), m.adapter)\n"
    )
    assert done.stdout == "loud: hi loud ['loud']\nhi None\n", done.stderr


def test_an_adapter_of_ones_own_is_a_folder(speaker):
    done = speaker.python(
        "import zoo\nprint(zoo.load('speaker', adapter='./mine')('hi'))", cwd=speaker.config
    )
    assert done.stdout == "mine: hi\n", done.stderr


def test_builds_with_other_adapters_are_other_builds(speaker):
    plain = speaker.zoo("build", "speaker").stdout
    mine = speaker.zoo("build", "speaker", "--adapter", "./mine", cwd=speaker.config).stdout
    assert plain != mine
    assert plain == speaker.zoo("build", "speaker", "--adapter", "loud").stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lout", "has no adapter 'lout', did you mean 'loud'?"),
        ("quiet", "one of your own is a folder, such as ./quiet"),
        ("./none", "none' is not a folder"),
    ],
)
def test_an_adapter_that_is_not_there(speaker, name, words):
    done = speaker.zoo("run", "speaker", "hi", "--adapter", name)
    assert done.returncode == 3
    assert words in done.stderr


@pytest.mark.parametrize("folder", ["/", ".."])
def test_a_folder_with_the_whole_home_in_it_is_not_read(speaker, folder):
    for line in (["speaker", "hi", "--adapter", folder], [folder, "hi"]):
        done = speaker.zoo("run", *line, cwd=speaker.config)
        assert done.returncode == 2
        assert "zoo's store" in done.stderr


def test_show_lists_the_adapters(speaker):
    data = json.loads(speaker.zoo("show", "speaker", "--json").stdout)
    assert data["adapters"]["loud"]["folder"] == "loud"
    assert "adapter loud" in speaker.zoo("show", "speaker").stdout
