"""The verbs that make and run: pull, build, check, run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.world import RECIPE, Said, put
from zoo import api
from zoo.cli import terminal
from zoo.progress import Event
from zoo.store.store import Store
from zoo.tasks.verdict import Verdict


def test_build_and_pull_print_the_folder(
    zoo: Callable[..., Said], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = Store(home).read(put(home, "k1", check={"status": "not run", "reason": "why"}))
    asked: dict[str, Any] = {}

    def make(ref: str, listener: Any, **options: Any) -> Any:
        asked.update(options)
        listener(Event("convert", "start"))
        listener(Event("convert", "note", message="mind\nthis"))
        return artifact

    monkeypatch.setattr(api, "build", make)
    monkeypatch.setattr(api, "pull", make)
    said = zoo("build", "tiny", "--no-check", "--format", "mlx")
    assert said.out == f"{artifact.path}\n"
    assert said.err.splitlines() == ["zoo: convert", "zoo: mind this", "zoo: check not run - why"]
    assert asked == {
        "build": None,
        "format": "mlx",
        "family": None,
        "adapter": None,
        "check": False,
        "force": False,
    }
    quiet = zoo("pull", "tiny", "-q")
    assert quiet.out == f"{artifact.path}\n"
    assert quiet.err == "zoo: mind this\n"
    pulled = {"ref": "user/tiny:one", "key": "k1", "path": str(artifact.path)}
    assert zoo("pull", "tiny", "--json").json == pulled
    built = zoo("build", "tiny", "--json")
    assert built.json == {
        **pulled, "build": "torch", "format": "torch", "check": artifact.manifest.check,
    }  # fmt: skip
    assert "check" not in built.err


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict("passed", "", {"top1": 0.95, "perplexity": 2.0}, {"top1": 0.9}), 0),
        (Verdict("failed", "top1 is too low", {"top1": 0.5}, {"top1": 0.9}), 1),
        (Verdict("not run", "the recipe has no check"), 1),
        (Verdict("not run", "it is the source itself", why="source"), 0),
        (Verdict("measured", "no limits"), 0),
    ],
)
def test_check(
    zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, verdict: Verdict, code: int
) -> None:
    monkeypatch.setattr(api, "check", lambda *_, **__: verdict)
    said = zoo("check", "tiny")
    assert said.code == code
    assert said.out.startswith(verdict.status)
    assert verdict.reason in said.out
    if verdict.metrics:
        assert "at least 0.9" in said.out
    said = zoo("check", "tiny", "--json")
    assert said.code == code
    assert set(said.json) == {
        "inputs",
        "status",
        "reason",
        "metrics",
        "limits",
        "tools",
        "why",
        "lint",
    }


def test_figures_of_a_check_are_grouped_by_adapter(
    zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = {"top1": 0.95, "kl": 0.1, "pirate:top1": 0.8, "pirate:kl": 0.2}
    verdict = Verdict("failed", "pirate:top1 is low", metrics, {"top1": 0.9})
    monkeypatch.setattr(api, "check", lambda *_, **__: verdict)
    lines = [line.split() for line in zoo("check", "tiny").out.splitlines()[2:]]
    assert lines == [
        ["ADAPTER", "FIGURE", "VALUE", "LIMIT", "HOLDS"],
        ["-", "top1", "0.95", "at", "least", "0.9", "yes"],
        ["-", "kl", "0.1", "-", "-"],
        ["pirate", "top1", "0.8", "at", "least", "0.9", "no"],
        ["pirate", "kl", "0.2", "-", "-"],
    ]
    assert verdict.lines() == [
        "failed - pirate:top1 is low - top1 0.95, kl 0.1",
        "with the adapter pirate - top1 0.8, kl 0.2",
    ]


class Parrot:
    """Stands in for a loaded model: says back what it was asked, word by word."""

    last = None

    ref, build, format = "user/tiny:one", "torch", "torch"
    chat_by_template = False

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.closed = False

    def __enter__(self) -> Parrot:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        self.asked.append((prompt, options))
        yield from ("You ", "said ", prompt)


@pytest.fixture
def parrot(monkeypatch: pytest.MonkeyPatch) -> Parrot:
    model = Parrot()
    monkeypatch.setattr(api, "load", lambda *_, **__: model)
    return model


def test_run(zoo: Callable[..., Said], parrot: Parrot) -> None:
    said = zoo("run", "tiny", "hello")
    assert (said.code, said.out, said.err) == (0, "You said hello\n", "")
    assert parrot.closed
    assert zoo("run", "tiny", stdin="héllo\n").out == "You said héllo\n"
    assert zoo("run", "tiny", "-", stdin="a\n\n").out == "You said a\n\n"
    assert zoo("run", "tiny", "hello", "--json").json == {
        "text": "You said hello", "statistics": None, "ref": "user/tiny:one", "build": "torch", "format": "torch",
    }  # fmt: skip


def test_a_terminal_shows_the_prompt_dimly_before_its_answer(
    zoo: Callable[..., Said], parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert zoo("run", "tiny", "hello").out == "You said hello\n", "a pipe gets the answer alone"
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    dimly = "\x1b[2m%s\x1b[0m"
    assert zoo("run", "tiny", "a\x07b").out == dimly % "a b" + "You said a\x07b\n"
    assert zoo("run", "tiny", "hi", "--chat").out == dimly % "hi\n" + "You said hi\n"
    assert zoo("run", "tiny", "hi", "-q").out == "You said hi\n"
    assert zoo("run", "tiny", stdin="hi").out == "You said hi\n", "it was not typed"
    assert zoo("run", "tiny", "hi", "--json").json["text"] == "You said hi"
    monkeypatch.setenv("NO_COLOR", "1")
    assert zoo("run", "tiny", "hi").out == "You said hi\n"


def test_run_passes_only_the_options_given(zoo: Callable[..., Said], parrot: Parrot) -> None:
    assert zoo("run", "tiny", "x").code == 0
    line = "--max-tokens 5 --temperature 0 --top-p 0.9 --top-k 3 --min-p 0.1 --seed 7 --raw"
    assert zoo("run", "tiny", "x", *line.split(), "--stop", ".", "--stop", "!").code == 0
    assert parrot.asked == [
        ("x", {}),
        (
            "x",
            {
                "max_tokens": 5, "temperature": 0.0, "top_p": 0.9, "top_k": 3, "min_p": 0.1,
                "seed": 7, "chat": False, "stop": (".", "!"),
            },
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("stdin", ["", "\n", b"\xff\xfe"])
def test_run_refuses_an_input_that_says_nothing(
    zoo: Callable[..., Said], parrot: Parrot, stdin: str | bytes
) -> None:
    said = zoo("run", "tiny", stdin=stdin)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: the input is ")


@pytest.mark.parametrize(
    ("license", "said"),
    [
        ("MIT", None),
        ("LicenseRef-CreativeML-OpenRAIL-M", "except for the uses that its attachment A forbids"),
        ("CC-BY-NC-4.0", "has the license CC BY-NC 4.0"),
        ("LicenseRef-Odd", None),
    ],
)
def test_the_terms_of_a_license_are_printed_before_the_first_download(
    zoo: Callable[..., Said], home: Path, license: str, said: str | None
) -> None:
    config = Path(os.environ["ZOO_CONFIG"])
    (config / "weights").mkdir()
    (config / "weights" / "w.txt").write_bytes(b"four")
    recipe = (RECIPE % hashlib.sha256(b"four").hexdigest()).replace('"MIT"', f'"{license}"')
    recipe = recipe.replace("w.bin", "w.txt")
    (config / "one.toml").write_text(recipe)
    first = zoo("pull", "tiny")
    assert first.code == 0, first.err
    assert (said or "") in first.err
    assert ("has the license" in first.err) == (said is not None)
    assert "has the license" not in zoo("pull", "tiny").err, "once is enough"
    plan = zoo("plan", "tiny", "--json").json
    assert plan["license"] == license
