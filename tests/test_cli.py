"""The command line, as a person or a script meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from zoo import api, errors
from zoo.checks import Verdict
from zoo.cli import app, drawing, output
from zoo.progress import Event
from zoo.store import Manifest, Store, describe_files

CATALOG = """
schema = 1
[models.tiny]
default = "one"
aliases = ["wee"]
variants = { one = "one.toml", huge = "huge.toml" }
[models.spoilt]
default = "only"
variants = { only = "spoilt.toml" }
"""
RECIPE = """
schema = 1
family = "mistral"
title = "Tiny model"
summary = "says little"
task = "text-generation"
license = "MIT"
parameters = 1_000_000
context = 128
[source]
folder = "weights"
files = [{ path = "w.bin", size = 4, sha256 = "%s" }]
[build.torch]
format = "torch"
[build.mlx-4bit]
format = "mlx"
minimum_os = "macOS15"
optimize = [{ kind = "quantize", bits = 4, group_size = 64 }]
[check]
inputs = ["check.txt"]
limits = { top1 = 0.9 }
recorded = { perplexity = 3.5 }
"""
HUGE = """
schema = 1
family = "stranger"
title = "Huge model"
summary = "fits nowhere"
task = "text-to-image"
license = "Apache-2.0"
gated = true
parameters = 900_000_000_000_000
[source]
repo = "owner/huge"
branch = "main"
[build.big]
format = "torch"
"""
HEAVY = {
    "coremltools", "huggingface_hub", "mlx", "mlx_lm", "numpy", "rich", "safetensors",
    "tokenizers", "torch", "transformers", "zoo_mistral", "pluggy",
}  # fmt: skip


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "config"
    config.mkdir()
    (config / "catalog.toml").write_text(CATALOG)
    (config / "one.toml").write_text(RECIPE % ("0" * 64))
    (config / "huge.toml").write_text(HUGE)
    (config / "spoilt.toml").write_text("schema = 1\nfamly = 'x'\n")
    monkeypatch.setenv("ZOO_CONFIG", str(config))
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("ZOO_LOCK", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def zoo(home: Path) -> Callable[..., Said]:
    """Run one command line in this process, with pipes for its streams."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Said:
        with CliRunner().isolation(stdin) as streams:
            code = app.run(list(arguments))
            out, err = streams[0].getvalue().decode(), streams[1].getvalue().decode()
        return Said(int(code), out, err)

    return run


def spawn(*arguments: str, **options: Any) -> Said:
    """The same in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "zoo.cli.app", *arguments],
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


def put(home: Path, key: str, *, step: str = "build", failed: bool = False, **fields: Any) -> Path:
    """Publish an artifact of one small file, or of the files at `elsewhere`."""
    store = Store(home)
    with store.workdir(key) as workdir:
        path = Path(fields.pop("elsewhere", workdir))
        if path == workdir:
            (workdir / "w.bin").write_bytes(key.encode() * 2000)
        manifest = Manifest(
            key=key, ref=fields.get("ref", "user/tiny:one"), step=step,
            build=fields.get("build", "torch"), format=fields.get("format", "torch"),
            created="2025-01-01T00:00:00Z",
            location="data" if path == workdir else str(path),
            inputs={}, files=describe_files(path), check=fields.get("check"),
        )  # fmt: skip
        return store.publish(workdir, path, manifest, failed).entry


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
        (("lst",), 2, "'lst' is not a verb of zoo, did you mean 'list'?"),
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

    monkeypatch.setattr(api, "catalog", explode)
    said = zoo("list")
    assert said.code == 1
    assert said.err.splitlines()[0] == "error: unexpected ValueError: two lines"
    assert "--debug" in said.err
    assert "Traceback" in zoo("--debug", "list").err


def test_interrupt(zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "catalog", interrupt)
    said = zoo("list")
    assert said.code == 130
    assert "interrupted; nothing half-made was left" in said.err


def test_list(zoo: Callable[..., Said], home: Path) -> None:
    put(home, "k1", build="mlx-4bit", format="mlx")
    said = zoo("list", "tiny")
    assert said.code == 0
    header, one, huge = said.out.splitlines()
    for word in ("NAME", "TASK", "PARAMS", "SIZE", "MEMORY", "LICENSE", "FORMATS", "FITS"):
        assert word in header
    assert one.split() == [
        "user/tiny:one", "text-generation", "1.0M", "4", "B", "400.0", "MB", "MIT", "torch,mlx",
        "mlx-4bit", "yes", "=", "user/tiny",
    ]  # fmt: skip
    assert "no" in huge.split()
    assert "gated, unpinned" in huge


def test_list_filters_and_json(zoo: Callable[..., Said], home: Path) -> None:
    put(home, "k1")

    def refs(*line: str) -> list[str]:
        return [m["ref"] for m in zoo("list", *line, "--json").json["models"]]

    assert {"user/tiny:one", "user/tiny:huge", "mistral:7b-instruct"} <= set(refs())
    assert refs("TINY", "--task", "image") == ["user/tiny:huge"]
    assert refs("--family", "stranger") == ["user/tiny:huge"]
    assert refs("tiny", "--format", "mlx") == ["user/tiny:one"]
    assert refs("tiny", "--fits") == ["user/tiny:one"]
    assert refs("--installed") == ["user/tiny:one"]
    limited = zoo("list", "--limit", "1", "--json").json
    assert len(limited["models"]) == 1
    assert limited["total"] > 1
    model = zoo("list", "tiny", "--json").json["models"][0]
    assert set(model) == {
        "ref", "name", "title", "summary", "task", "family", "license", "gated", "pinned",
        "parameters", "download_bytes", "memory_bytes", "formats", "fits",
        "installed",
    }  # fmt: skip
    assert model["installed"] == ["torch"]


def test_list_warns_of_what_is_broken(zoo: Callable[..., Said], home: Path) -> None:
    said = zoo("list")
    assert said.code == 0
    warnings = [x for x in said.err.splitlines() if x.startswith("warning: user/spoilt:only: ")]
    assert len(warnings) == 1
    assert "famly" in warnings[0]
    (Path(os.environ["ZOO_CONFIG"]) / "catalog.toml").write_text("schema = [")
    said = zoo("list")
    assert said.code == 0
    assert "warning: user: catalog" in said.err
    assert "mistral:7b-instruct" in said.out


def test_list_without_a_match(zoo: Callable[..., Said]) -> None:
    said = zoo("list", "no-such-thing")
    assert (said.code, said.out) == (1, "")
    assert "no model matches" in said.err
    assert "hint: " in said.err
    assert zoo("list", "no-such-thing", "--json").json["models"] == []


def test_show(zoo: Callable[..., Said], home: Path) -> None:
    put(home, "k1", check={"status": "passed"})
    said = zoo("show", "wee")
    assert said.code == 0
    for words in (
        "Tiny model (user/tiny:one)", "license     MIT", "folder weights (pinned)", "128 tokens",
        "quantize (4 bits, groups of 64)", "macOS15 or later", "top1 at least 0.9",
        "perplexity 3.5", "passed", "0" * 64,
    ):  # fmt: skip
        assert words in said.out
    assert said.out.splitlines()[-1] == "run it: zoo run user/tiny:one"
    huge = zoo("show", "tiny:huge")
    assert "gated: accept it at https://huggingface.co/owner/huge" in huge.out
    assert "UNPINNED until the first pull" in huge.out


def test_show_json(zoo: Callable[..., Said]) -> None:
    data = zoo("show", "tiny", "--json").json
    assert set(data) == {
        "ref", "title", "summary", "task", "family", "license", "gated", "chat", "parameters",
        "context", "source", "tokenizer", "adapters", "builds", "check", "run",
    }  # fmt: skip
    assert set(data["builds"][0]) == {
        "name", "format", "optimize", "minimum_os", "bits_per_weight", "bytes", "memory_bytes",
        "fits", "default", "installed", "check", "words", "compression",
    }  # fmt: skip
    assert data["source"]["files"] == [{"path": "w.bin", "size": 4, "sha256": "0" * 64}]
    assert data["builds"][1]["bits_per_weight"] == 4.5


def test_show_after_the_first_pull(zoo: Callable[..., Said], home: Path) -> None:
    home.mkdir()
    files = [{"path": "w.bin", "size": 4, "sha256": "1" * 64}]
    sources = {"owner/huge@main": {"commit": "c" * 40, "files": files}}
    (home / "zoo.lock").write_text(json.dumps({"schema": 1, "sources": sources}))
    assert f"owner/huge@{'c' * 40} (main, locked by the first pull)" in zoo("show", "tiny:huge").out


def test_plan(zoo: Callable[..., Said]) -> None:
    said = zoo("plan", "tiny", "--build", "mlx-4bit")
    assert said.code == 0
    assert said.out.startswith("user/tiny:one/mlx-4bit (mlx)\n")
    assert "to do" in said.out
    data = zoo("plan", "tiny:one/mlx-4bit", "--json").json
    assert set(data) == {
        "ref", "build", "format", "pinned", "steps", "bytes_needed", "memory_bytes",
        "machine_memory_bytes", "fits", "missing", "install",
    }  # fmt: skip
    assert [s["name"] for s in data["steps"]] == ["download", "convert", "optimize", "run"]
    assert set(data["steps"][0]) == {"name", "provider", "done", "bytes"}


def test_ls_and_du(zoo: Callable[..., Said], home: Path) -> None:
    empty = zoo("ls")
    assert (empty.code, empty.out) == (0, "")
    put(home, "k1", step="download")
    put(home, "k2", build="mlx-4bit", format="mlx", check={"status": "passed"})
    put(home, "k3", build="mlx-4bit", failed=True)
    (home / "artifacts" / "k4").mkdir()
    (home / "artifacts" / "k4" / "manifest.json").write_text("null")
    said = zoo("ls")
    assert said.code == 0
    checks = {x.split()[0]: x for x in said.out.splitlines()}
    assert "passed" in checks["k2"]
    assert "failed" in checks["k3"]
    assert "corrupt" in checks["k4"]
    assert "4 artifacts" in said.err
    data = zoo("ls", "--json").json
    assert set(data) == {"artifacts", "bytes"}
    assert set(data["artifacts"][0]) == {
        "key", "ref", "step", "build", "format", "bytes", "created", "path", "failed", "check",
        "problem",
    }  # fmt: skip
    assert data["bytes"] == 3 * 4000
    used = zoo("du", "--json").json
    assert set(used) == {"home", "items", "bytes", "elsewhere_bytes", "free_bytes"}
    assert {i["step"] for i in used["items"]} == {"download", "build", "failed", "corrupt"}
    assert used["bytes"] == sum(i["bytes"] for i in used["items"])
    assert zoo("du").out.splitlines()[-1].startswith("total")


def test_du_counts_shared_files_once(zoo: Callable[..., Said], home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").write_bytes(b"x" * 8192)
    put(home, "k1", step="download", elsewhere=mine)
    put(home, "k2", elsewhere=mine)
    items = zoo("du", "--json").json["items"]
    assert [(i["step"], i["elsewhere_bytes"]) for i in items] == [("download", 8192), ("build", 0)]


def test_rm(zoo: Callable[..., Said], home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "w.bin").write_bytes(b"precious")
    put(home, "k1", step="download", elsewhere=mine)
    put(home, "k2", build="mlx-4bit")
    put(home, "k3", build="torch")
    asked = zoo("rm", "wee")
    assert asked.code == 2
    assert "-y" in asked.err
    dry = zoo("rm", "wee", "--dry-run", "--json").json
    assert dry["dry_run"] is True
    assert dry["removed"] == ["k1", "k2", "k3"]
    assert dry["bytes"] > 0
    one = zoo("rm", "tiny:one/mlx-4bit", "-y")
    assert one.out.splitlines()[0] == "removed k2"
    assert "freed" in one.out
    everything = zoo("rm", "tiny", "-y")
    assert "stays" in everything.err
    assert (mine / "w.bin").read_bytes() == b"precious"
    assert zoo("ls", "--json").json["artifacts"] == []


def test_rm_takes_what_has_its_files_inside(zoo: Callable[..., Said], home: Path) -> None:
    entry = put(home, "k1", step="convert")
    put(home, "k2", elsewhere=entry / "data")
    said = zoo("rm", "k1", "-y")
    assert "k2 goes too" in said.err
    assert zoo("ls", "--json").json["artifacts"] == []


@pytest.mark.parametrize("text", ["", "null", "[]", '{"files": 3}', "\x00", '{"files": []}'])
def test_rm_of_a_corrupt_manifest(zoo: Callable[..., Said], home: Path, text: str) -> None:
    entry = put(home, "k1")
    (entry / "manifest.json").write_text(text)
    assert zoo("verify").code == 5
    assert zoo("list", "tiny").code == 0
    assert zoo("rm", "k1", "-y").code == 0
    assert not entry.exists()


def test_rm_never_leaves_the_store(zoo: Callable[..., Said], home: Path) -> None:
    put(home, "k1")
    for name in ("..", "../config", "/", ".", ""):
        assert zoo("rm", name, "-y").code in (2, 3)
    assert (home / "artifacts" / "k1").is_dir()


def test_rm_asks_on_a_terminal(
    zoo: Callable[..., Said], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.cli import removal

    entry = put(home, "k1")
    monkeypatch.setattr(removal, "_has_terminal", lambda: True)
    said = zoo("rm", "k1", stdin="n\n")
    assert said.code == 1
    assert "nothing was removed" in said.err
    assert entry.exists()
    assert zoo("rm", "k1", stdin="y\n").code == 0
    assert not entry.exists()


def test_prune(zoo: Callable[..., Said], home: Path) -> None:
    entry = put(home, "k1", step="convert")
    put(home, "k2", elsewhere=entry / "data")
    put(home, "k3", step="convert")
    put(home, "k4", failed=True)
    put(home, "k5")
    (home / "work" / "k6.abc").mkdir()
    dry = zoo("prune", "--dry-run", "--json").json
    assert sorted(dry["removed"]) == ["k3", "k4", "k6.abc"]
    assert zoo("prune").code == 2
    assert zoo("prune", "-y").code == 0
    left = [a["key"] for a in zoo("ls", "--json").json["artifacts"]]
    assert left == ["k1", "k2", "k5"]
    again = zoo("prune")
    assert (again.code, again.out) == (0, "nothing to remove\n")


def test_verify(zoo: Callable[..., Said], home: Path) -> None:
    assert zoo("verify").code == 0
    first, second = put(home, "k1"), put(home, "k2", build="mlx-4bit")
    assert zoo("verify").out.splitlines() == ["k1: ok", "k2: ok"]
    (first / "data" / "w.bin").write_bytes(b"k9" * 2000)
    (second / "data" / "w.bin").unlink()
    said = zoo("verify", "--json")
    assert said.code == 5
    assert said.json["faults"] == 2
    assert set(said.json["artifacts"][0]) == {"key", "ref", "faults"}
    assert "k2: w.bin is missing" in zoo("verify").out
    assert zoo("verify", "tiny:one/mlx-4bit").out.splitlines() == ["k2: w.bin is missing"]


def test_plugins(zoo: Callable[..., Said]) -> None:
    said = zoo("plugins")
    assert said.code == 0
    assert "mistral.torch" in said.out
    plugins = zoo("plugins", "--json").json["plugins"]
    assert set(plugins[0]) == {
        "kind", "name", "distribution", "version", "module", "status", "missing", "install",
        "reason",
    }  # fmt: skip
    assert {p["kind"] for p in plugins} >= {"family", "format"}


def test_doctor(zoo: Callable[..., Said], home: Path) -> None:
    said = zoo("doctor")
    assert said.code == 1
    assert "problem: user/spoilt:only" in said.out
    config = Path(os.environ["ZOO_CONFIG"])
    (config / "catalog.toml").unlink()
    data = zoo("doctor", "--json").json
    assert set(data) == {
        "machine", "memory_bytes", "home", "free_bytes", "writable", "python", "zoo", "packages",
        "formats", "token", "offline", "leftovers", "problems",
    }  # fmt: skip
    assert data["token"] is False
    token = Path(os.environ["HF_HOME"]) / "token"
    token.parent.mkdir()
    token.write_text("hf_secret")
    said = zoo("doctor")
    assert "hub token  yes" in said.out
    assert "hf_secret" not in said.out + said.err
    put(home, "k1").joinpath("manifest.json").write_text("{")
    (home / "zoo.lock").write_text("{")
    problems = " ".join(zoo("doctor", "--json").json["problems"])
    assert "k1 is corrupt" in problems
    assert "zoo.lock" in problems


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
    }
    quiet = zoo("pull", "tiny", "-q")
    assert quiet.out == f"{artifact.path}\n"
    assert quiet.err == "zoo: mind this\n"


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict("passed", "", {"top1": 0.95, "perplexity": 2.0}, {"top1": 0.9}), 0),
        (Verdict("failed", "top1 is too low", {"top1": 0.5}, {"top1": 0.9}), 1),
        (Verdict("not run", "the recipe has no check"), 1),
        (Verdict("not run", "it is the source itself"), 0),
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
    assert set(said.json) == {"status", "reason", "metrics", "limits", "tools"}


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


def test_lines_are_rare_and_readable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(drawing, "time", SimpleNamespace(monotonic=lambda: next(clock) / 2))
    with drawing.drawing() as listener:
        for done in range(8):
            listener(Event("download", "update", done * 10**6, 5 * 10**9))
        listener(Event("check", "update", 3, None, "positions"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "zoo: download 0 B of 5.0 GB"
    assert len(lines) < 5


def test_tables_fit_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (output.Column("NAME"), output.Column("LONG", drop=1), output.Column("N", right=True))
    output.table(columns, [("a\x1b[31m", "x" * 90, 1)])
    assert capsys.readouterr().out.splitlines()[1] == f"a [31m  {'x' * 90}  1"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    output.table(columns, [("a", "x" * 90, 1)])
    assert "xx" not in capsys.readouterr().out


class Parrot:
    """Stands in for a loaded model: says back what it was asked, word by word."""

    ref, build, format = "user/tiny:one", "torch", "torch"

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
    from zoo.cli import runners

    model = Parrot()
    monkeypatch.setattr(api, "load", lambda *_, **__: model)
    monkeypatch.setitem(runners.RUNNERS, Parrot, runners.text)
    return model


def test_run(zoo: Callable[..., Said], parrot: Parrot) -> None:
    said = zoo("run", "tiny", "hello")
    assert (said.code, said.out, said.err) == (0, "You said hello\n", "")
    assert parrot.closed
    assert zoo("run", "tiny", stdin="héllo\n").out == "You said héllo\n"
    assert zoo("run", "tiny", "-", stdin="a\n\n").out == "You said a\n\n"
    assert zoo("run", "tiny", "hello", "--json").json == {
        "text": "You said hello", "ref": "user/tiny:one", "build": "torch", "format": "torch",
    }  # fmt: skip


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


def test_run_of_a_model_nobody_can_run(
    zoo: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(Parrot):
        pass

    monkeypatch.setattr(api, "load", lambda *_, **__: Odd())
    said = zoo("run", "tiny", "x")
    assert said.code == 2
    assert "cannot run a Odd" in said.err


MODULE_BUDGET = 270


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
