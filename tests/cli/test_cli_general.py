"""The command line as a whole: help, mistakes, exit codes, streams, what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.world import Said, spawn
from zoo import api, errors
from zoo.cli import app

HEAVY = {
    "coremltools", "huggingface_hub", "mlx", "mlx_lm", "numpy", "rich", "safetensors",
    "tokenizers", "torch", "transformers", "zoo_mistral", "pluggy",
}  # fmt: skip


MODULE_BUDGET = 280


def test_help_lists_every_verb_with_its_line(zoo: Callable[..., Said]) -> None:
    said = zoo("--help")
    assert said.code == 0
    for section, verbs in app.SECTIONS.items():
        assert f"{section}:" in said.out
        for verb, line in verbs.items():
            assert f"  {verb} " in said.out
            assert line in said.out


@pytest.mark.parametrize("verb", app.VERBS)
def test_each_verb_explains_itself(zoo: Callable[..., Said], verb: str) -> None:
    said = zoo(verb, "--help")
    assert said.code == 0
    assert app.VERBS[verb].rstrip(".") in " ".join(said.out.split())
    assert said.err == ""


def test_version_and_bare_call(zoo: Callable[..., Said]) -> None:
    assert zoo("--version").out.startswith("zoo 0.")
    bare = zoo()
    assert bare.code == 0
    assert bare.out == zoo("--help").out


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (("lst",), 2, "'lst' is not a zoo command, did you mean 'list'?"),
        (("list", "--nope"), 2, "No such option"),
        (("list", "--limit", "0"), 2, "--limit"),
        (("show",), 2, "Missing argument"),
        (("show", "tinny"), 3, "did you mean 'tiny'?"),
        (("show", "tiny:won"), 3, "did you mean 'one'?"),
        (("show", "tiny:one/mlx-4bt"), 3, "did you mean 'mlx-4bit'?"),
        (("show", "Not A Name"), 2, "is not a model reference"),
        (("show", "spoilt"), 2, "famly: unknown key"),
        (("plan", "tiny", "--format", "mxl"), 3, "did you mean 'mlx'?"),
        (("plan", "tiny:huge"), 8, "stranger"),
        (("plan", "tiny:one/torch", "--build", "mlx-4bit"), 2, "was asked for as well"),
        (("pull", "tinny"), 3, "did you mean"),
        (("build", "tinny"), 3, "did you mean"),
        (("check", "tinny"), 3, "did you mean"),
        (("run", "tinny", "hello"), 3, "did you mean"),
        (("rm", "tinny", "-y"), 3, "nothing on this disk"),
        (("verify", "tinny"), 3, "nothing on this disk"),
    ],
)
def test_mistakes(zoo: Callable[..., Said], line: tuple[str, ...], code: int, words: str) -> None:
    said = zoo(*line)
    assert said.code == code, said.err
    assert said.out == ""
    assert words in said.err
    assert "error: " in said.err
    assert "Traceback" not in said.err


def test_unexpected_errors_are_one_sentence(
    zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode() -> None:
        raise ValueError("two\nlines")

    monkeypatch.setattr("zoo.cli.verbs.list.open_catalog", explode)
    said = zoo("list")
    assert said.code == 1
    assert said.err.splitlines()[0] == "error: unexpected ValueError: two lines"
    assert "--debug" in said.err
    assert "Traceback" in zoo("--debug", "list").err


def test_interrupt(zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.cli.verbs.list.open_catalog", interrupt)
    said = zoo("list")
    assert said.code == 130
    assert "interrupted; no partial result was left" in said.err


@pytest.mark.parametrize("error", [errors.Gated("no", "log in"), errors.NoRoom("no", "log in")])
def test_errors_of_the_pipeline(
    zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, error: errors.ZooError
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(api, "pull", refuse)
    said = zoo("pull", "tiny")
    assert (said.code, said.out) == (error.code, "")
    assert said.err == "error: no\nhint: log in\n"


@pytest.mark.parametrize(
    "line", ["--help", "--version", "list", "show mistral", "plan mistral", "plugins", "ls"]
)
def test_browsing_imports_nothing_heavy(home: Path, line: str) -> None:
    program = (
        "import sys\nfrom zoo.cli import app\n"
        f"code = app.run({line.split()!r})\n"
        "print('MODULES', *sys.modules, file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    modules = done.stderr.rpartition("MODULES ")[2].split()
    assert not {m.partition(".")[0] for m in modules} & HEAVY
    assert len(modules) <= MODULE_BUDGET
    if line == "--help":
        assert not [m for m in modules if m.startswith("zoo.cli.verbs")]
        assert len(modules) <= 135


def test_streams_of_a_real_process(home: Path) -> None:
    said = spawn("list", "tiny")
    assert said.code == 0
    assert "user/tiny:one" in said.out
    assert "\x1b" not in said.out
    assert spawn("lst").code == 2
    assert spawn("show", "tinny").code == 3
    assert "INPUT" in spawn("run", "--help").out


def test_a_reader_that_leaves_is_no_error(home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for line in (["list"], ["--help"], ["show", "tiny"]):
        done = subprocess.run(
            [sys.executable, "-m", "zoo.cli.app", *line],
            stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert "Error" not in done.stderr
        assert "error" not in done.stderr
    os.close(writing)
