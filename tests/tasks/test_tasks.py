"""Tasks: one from outside the repository, and what a broken or unknown one harms."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from conftest import Sandbox

import zoo
from zoo.cli.app import run
from zoo.errors import Exit
from zoo.testing.plugins import install_plugin

pytestmark = pytest.mark.usefixtures("warm")

TASK = '''
"""Sentence embeddings as a task."""
from dataclasses import dataclass
from typing import ClassVar

import zoo
from zoo.tasks import HIGHER, CallOptions, Metric, Task, option


class Embedder(zoo.Model):
    def embed(self, text: str, **options) -> list[float]:
        asked = EmbedOptions.of({**self.defaults, **options})
        found = self.vector(text)
        size = sum(x * x for x in found) ** 0.5 if asked.normalize else 1
        return [round(x / size, asked.digits) for x in found]

    __call__ = embed


@dataclass(frozen=True)
class EmbedOptions(CallOptions):
    """How a sentence is embedded."""

    normalize: bool = option("whether the vector has length 1", default=True)
    digits: int = option("digits after the point", default=3, minimum=0, maximum=9)

    peers: ClassVar[dict] = {"normalize_embeddings": "normalize"}


class SentenceEmbeddings(Task):
    title = "Sentence embeddings"
    input = "a sentence"
    metrics = {"cosine": Metric("least cosine with the source's vectors", HIGHER)}

    def model(self):
        return Embedder

    def options(self):
        return EmbedOptions

    def measure(self, inputs, source, build, scorer=None):
        lines = inputs[0].read_text().splitlines()
        with source() as model:
            wanted = [model.embed(line) for line in lines]
        with build() as model:
            found = [model.embed(line) for line in lines]
        pairs = zip(wanted, found)
        return {"cosine": min(sum(a * b for a, b in zip(*pair)) for pair in pairs)}


TASK = SentenceEmbeddings()
'''
FAMILY = '''
"""The family `letters`: counts of letters, times weights."""
import zoo
from zoo_acme.task import Embedder


class Letters(Embedder):
    def __init__(self, weights):
        self.weights = weights

    def vector(self, text):
        return [w * (1 + text.count(c)) for c, w in zip("abc", self.weights)]


@zoo.hookimpl
def convert(source, workdir):
    (workdir / "weights.txt").write_text((source / "weights.txt").read_text())
    return workdir


@zoo.hookimpl
def run(artifact):
    return Letters([float(x) for x in (artifact / "weights.txt").read_text().split()])
'''
WEIGHTS = "1 2 2"
RECIPE = f"""
schema = 1
family = "letters"
title = "Letters"
summary = "Counts letters"
task = "sentence-embeddings"
license = "MIT"
parameters = 3
defaults = {{ digits = 2 }}

[source]
folder = "model"
files = [{{ path = "weights.txt", size = 5, sha256 = "{hashlib.sha256(WEIGHTS.encode()).hexdigest()}" }}]

[build.torch]
format = "torch"

[build.plain]
format = "plain"

[check]
inputs = ["check.txt"]
limits = {{ cosine = 0.9 }}
"""
CATALOG = """
schema = 1
[models.letters]
default = "abc"
variants = { abc = "letters.toml" }
"""


def install(sandbox: Sandbox, recipe: str = RECIPE, task: str = TASK) -> None:
    """Install the distribution `zoo-acme`: a task, a family of it, and a catalog."""
    install_plugin(
        sandbox.site,
        "zoo-acme",
        {
            "zoo_acme/__init__.py": "",
            "zoo_acme/task.py": task,
            "zoo_acme/letters.py": FAMILY,
            "zoo_acme/catalog.toml": CATALOG,
            "zoo_acme/letters.toml": recipe,
            "zoo_acme/check.txt": "aabbc\nabc\n",
            "zoo_acme/model/weights.txt": WEIGHTS,
        },
        {
            "zoo.tasks": {"sentence-embeddings": "zoo_acme.task:TASK"},
            "zoo.families": {
                "letters.torch": "zoo_acme.letters",
                "letters.plain": "zoo_acme.letters",
            },
            "zoo.catalogs": {"acme": "zoo_acme:catalog.toml"},
        },
    )


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    sandbox = Sandbox(tmp_path_factory.mktemp("acme"))
    install(sandbox)
    return sandbox


def made_in(home: Path) -> set[str]:
    """What there is of ZOO_HOME beside the index of the catalog."""
    return {path.name for path in home.glob("*")} - {"index"}


def test_a_task_from_outside_runs_on_the_command_line(acme: Sandbox) -> None:
    done = acme.zoo("run", "letters:abc/plain", "aab", "-q")
    assert (done.returncode, done.stdout) == (0, "[0.56, 0.74, 0.37]\n"), done.stderr
    done = acme.zoo(
        "run", "letters:abc/plain", "-q", "--no-normalize", "aab", "--digits", "0", "--json"
    )
    assert json.loads(done.stdout)["text"] == "[3.0, 4.0, 2.0]"
    done = acme.zoo("run", "letters:abc/plain", "aab", "--digits", "12")
    assert (done.returncode, done.stdout) == (2, "")
    assert "digits must be from 0 to 9, not 12" in done.stderr
    done = acme.zoo("run", "letters:abc/plain", "aab", "--normalize-embeddings")
    assert done.returncode == 2
    assert "--normalize" in done.stderr
    done = acme.zoo("run", "letters", "--help")
    assert "Sentence embeddings (INPUT is a sentence)" in done.stdout
    assert "Digits after the point." in done.stdout
    assert "--max-tokens" not in done.stdout


def test_a_task_from_outside_is_checked(acme: Sandbox) -> None:
    done = acme.zoo("check", "letters:abc/plain", "--json", "-q")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["status"] == "passed"
    assert verdict["metrics"]["cosine"] > 0.98
    assert "cosine at least 0.9" in acme.zoo("show", "letters").stdout


def test_a_task_from_outside_is_loaded_and_typed(acme: Sandbox) -> None:
    code = """
import zoo
from zoo_acme.task import Embedder
model = zoo.load("letters:abc/plain", task=Embedder)
print(model.embed("aab"), model.embed("aab", digits=1))
for wrong in ({"digits": "many"}, {"digitz": 1}):
    try:
        model.embed("aab", **wrong)
    except zoo.InputError as error:
        print(error.message)
try:
    zoo.load("letters:abc/plain", task=zoo.TextModel)
except zoo.UsageError as error:
    print(error.message)
"""
    done = acme.python(code)
    assert done.stdout.splitlines() == [
        "[0.56, 0.74, 0.37] [0.6, 0.7, 0.4]",
        "digits must be an integer, not 'many'",
        "unknown option 'digitz', did you mean 'digits'?",
        "'acme/letters:abc' is a Embedder (task sentence-embeddings), not a TextModel",
    ], done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("cosine = 0.9", "top1 = 0.9"),
            "check.limits.top1: is not a metric of sentence embeddings",
        ),
        (("cosine = 0.9", "cosin = 0.9"), "did you mean 'cosine'?"),
        (("digits = 2", "digits = 20"), "defaults.digits: must be from 0 to 9, not 20"),
        (("digits = 2", "max_tokens = 2"), "defaults.max_tokens: unknown option 'max_tokens'"),
        (("limits = {", 'scorer = "x"\nlimits = {'), "check.scorer: cannot be used"),
        (("sentence-emb", "sentense-emb"), "did you mean 'sentence-embeddings'?"),
        (("sentence-embeddings", "telepathy"), "installed: automatic-speech-recognition, "),
    ],
)
def test_a_recipe_is_held_to_its_task_when_it_is_read(sandbox, change, words) -> None:
    assert change[0] in RECIPE
    install(sandbox, RECIPE.replace(*change))
    done = sandbox.zoo("run", "letters:abc/plain", "aab")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert made_in(sandbox.home) == set()
    listed = sandbox.zoo("list")
    assert listed.returncode == 0
    assert "mistral:mini" in listed.stdout


@pytest.mark.parametrize("task", ["raise SystemExit('gone')", "TASK = 3", "import nothing_such"])
def test_a_broken_task_harms_its_own_models_alone(sandbox, task) -> None:
    install(sandbox, task=task)
    sandbox.echo()
    for verb, more in (("run", ["x"]), ("check", []), ("build", [])):
        done = sandbox.zoo(verb, "letters:abc/plain", *more)
        assert (done.returncode, done.stdout) == (Exit.PLUGIN, "")
        assert "'sentence-embeddings' of zoo-acme 0.1" in done.stderr
    assert made_in(sandbox.home) == set()
    for verb in ("plan", "show"):
        done = sandbox.zoo(verb, "letters")
        assert (done.returncode, "sentence-embeddings" in done.stdout) == (Exit.OK, verb == "show")
        assert "this model cannot be run: " in done.stderr
        assert "'sentence-embeddings' of zoo-acme 0.1" in done.stderr
    assert sandbox.zoo("plan", "echo").stderr.count("cannot be run") == 0
    assert sandbox.zoo("run", "echo:one/plain", "hi", "-q").stdout == "hi\n"
    assert "mistral:mini" in sandbox.zoo("list").stdout
    assert sandbox.zoo("run", "--help").returncode == 0
    listed = sandbox.zoo("plugins", "--check", "--json")
    assert listed.returncode == Exit.PLUGIN
    plugins = {(p["kind"], p["name"]): p for p in json.loads(listed.stdout)["plugins"]}
    assert plugins["task", "sentence-embeddings"]["status"] == "broken"


def test_two_plugins_with_one_task_are_named(sandbox) -> None:
    install(sandbox)
    install_plugin(
        sandbox.site, "zoo-bcme", {}, {"zoo.tasks": {"sentence-embeddings": "zoo_bcme:TASK"}}
    )
    done = sandbox.zoo("run", "letters:abc/plain", "x")
    assert done.returncode == Exit.PLUGIN
    assert "zoo-acme 0.1" in done.stderr
    assert "zoo-bcme 0.1" in done.stderr
    assert "is provided by zoo-acme" in sandbox.zoo("doctor").stdout


def test_browsing_imports_no_task_that_a_recipe_asks_nothing_of(sandbox) -> None:
    """A recipe without limits and defaults is listed without its task's code."""
    bare = RECIPE.replace("defaults = { digits = 2 }\n", "").partition("[check]")[0]
    install(sandbox, bare, task="raise SystemExit('imported')")
    for verb in ("list", "show", "plan"):
        done = sandbox.zoo(verb, *([] if verb == "list" else ["letters"]))
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mistral:mini/mlx-8bit x --language en", "--language is an option of speech recognition"),
        ("whisper:mini x.wav --steps 3", "--steps is an option of text to image"),
        ("whisper:mini x.wav --top-p 0.5", "--top-p is an option of text generation"),
        ("mistral:mini x --max-new-tokens 3", "Did you mean '--max-tokens'?"),
        ("stable-diffusion:mini x --num-inference-steps 3", "Did you mean '--steps'?"),
        ("--format mlx whisper:mini x.wav --beam-size 3", "Did you mean '--beams'?"),
        ("mistral:mini x --top-p 0", "top_p must be above 0 and at most 1"),
        ("mistral:mini x --stop=", "stop[0] must be text that is not empty"),
        ("stable-diffusion:mini x -o x.png --strength 0", "strength must be above 0"),
        ("whisper:mini x.wav --beams 33", "beams must be from 1 to 32"),
    ],
)
def test_options_are_checked_before_anything_is_made(
    line, words, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run(["run", *line.split()]) == 2
    assert words in capsys.readouterr().err
    assert made_in(tmp_path / "home") == set()


def test_help_shows_the_options_of_the_named_model(capsys) -> None:
    assert run(["run", "--help"]) == 0
    every = capsys.readouterr().out
    for title in ("Text generation (", "Speech recognition (", "Text to image ("):
        assert title in every
    assert run(["run", "whisper:mini", "--help"]) == 0
    own = capsys.readouterr().out
    assert "--language" in own
    assert "--steps" not in own
    assert run(["run", "nosuch", "--help"]) == Exit.NOT_FOUND


def test_the_models_that_type_checkers_know_are_in_the_catalog() -> None:
    from typing import get_args

    from zoo import api

    known = {
        zoo.TextModel: api.TextName,
        zoo.SpeechModel: api.SpeechName,
        zoo.ImageModel: api.ImageName,
    }
    from zoo.tasks.registry import task_of

    told = {name: kind for kind, names in known.items() for name in get_args(names)}
    for listing in api.catalog():
        if listing.ref.endswith(":mini"):
            kind = task_of(listing.recipe.task).model()
            assert told[listing.ref] is kind
            assert told[listing.ref.partition(":")[0]] is kind
