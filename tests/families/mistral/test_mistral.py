"""The family Mistral from end to end: the miniature, other people's checkpoints, and the checks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from zoo.testing.loopback_hub import LoopbackHub

pytestmark = pytest.mark.usefixtures("warm")

RECIPES = Path(__file__).parents[3] / "recipes" / "mistral"
CHECKED = 1200
"""Letters of a text that a check of `add_mini` reads: MLX is slow on a CPU."""
GREEDY = """
import sys, json, zoo
out = {}
for format in ("torch", "mlx"):
    with zoo.load(sys.argv[1], format=format) as model:
        prompt = model.encode("Once upon a time")
        tokens = model.tokens(prompt, zoo.Sampling(max_tokens=20))
        out[format] = [int(t) for _, t in zip(range(20), tokens)]
from transformers import AutoModelForCausalLM
import torch
reference = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
ids = torch.tensor([prompt])
generated = reference.generate(ids, max_new_tokens=20, do_sample=False, eos_token_id=None)
out["transformers"] = generated[0, len(prompt):].tolist()
print(json.dumps(out))
"""


def add_mini(sandbox, *changes: tuple[str, str]) -> None:
    """The miniature as `mine` in the user's catalog, its recipe changed and its check short."""
    recipe = (RECIPES / "mini.toml").read_text()
    for old, new in changes:
        assert old in recipe
        recipe = recipe.replace(old, new)
    for path in RECIPES.glob("mini*"):
        if path.is_dir():
            shutil.copytree(path, sandbox.config / path.name, dirs_exist_ok=True)
        elif path.suffix == ".txt":
            (sandbox.config / path.name).write_text(path.read_text()[:CHECKED])
    catalog = 'schema = 1\n[models.mine]\ndefault = "v"\nvariants = { v = "v.toml" }\n'
    sandbox.catalog(catalog, v=recipe)


def test_the_miniature_writes_a_story_and_says_how(built):
    result = built.zoo("run", "mistral:mini", "Once upon a time")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.split()) > 20
    assert "." in result.stdout
    assert "mistral:mini: build 'torch', chosen for" in result.stderr


def test_both_formats_write_the_same(built):
    texts = {
        format: built.zoo(
            "run", "mistral:mini", "Once upon a time", "--format", format, "--max-tokens", "40"
        ).stdout
        for format in ("torch", "mlx")
    }
    assert texts["mlx"] == texts["torch"]


def test_the_prompt_may_come_from_a_pipe(built):
    given = built.zoo("run", "mistral:mini/mlx", "-", "--max-tokens", "9", input="Once upon a time")
    named = built.zoo("run", "mistral:mini/mlx", "Once upon a time", "--max-tokens", "9")
    assert given.stdout == named.stdout != ""


def test_a_seed_repeats_and_another_differs(built):
    def story(seed):
        options = ("--temperature", "1.5", "--seed", str(seed), "--max-tokens", "60")
        return built.zoo("run", "mistral:mini/mlx", "Once upon a time", *options).stdout

    assert story(1) == story(1)
    assert story(1) != story(2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([""], "is empty"),
        (["word " * 3000], "tokens"),
        (["hello", "--temperature", "-1"], "temperature"),
        (["hello", "--top-p", "2"], "top"),
        (["hello", "--max-tokens", "0"], "max"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(built, arguments, words):
    result = built.zoo("run", "mistral:mini/mlx", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.long
def test_a_check_passes_and_is_remembered(built):
    result = built.zoo("check", "mistral:mini/mlx-8bit", "--json")
    assert result.returncode == 0, result.stderr
    verdict = json.loads(result.stdout)
    text = json.dumps(verdict)
    for word in ("passed", "top1", "kl", "perplexity_ratio", "mlx-lm", "transformers"):
        assert word in text
    stored = [
        json.loads((p / "manifest.json").read_text())
        for p in built.artifacts()
        if "mistral-mini-mlx-8bit" in p.name
    ]
    assert stored[0]["check"]["status"] == "passed"
    assert stored[0]["check"]["metrics"]["positions"] >= 512


def test_a_build_that_strays_too_far_is_kept_aside(sandbox):
    add_mini(sandbox, ("bits = 8", "bits = 2"))
    result = sandbox.zoo("build", "mine:v/mlx-8bit")
    assert result.returncode == 1
    assert "failed its check" in result.stderr
    assert "must be at" in result.stderr
    assert not [p for p in sandbox.artifacts() if "mlx-8bit" in p.name]
    report = next((sandbox.home / "failed").glob("*mlx-8bit*")) / "manifest.json"
    assert json.loads(report.read_text())["check"]["status"] == "failed"
    assert sandbox.zoo("run", "mine:v/mlx-8bit", "hi").returncode == 1


def test_a_damaged_build_fails_when_it_is_checked_again(sandbox):
    add_mini(sandbox)
    assert sandbox.zoo("build", "mine:v/mlx-8bit", "--no-check").returncode == 0
    entry = next(p for p in sandbox.artifacts() if "mlx-8bit" in p.name)
    weights = entry / "data" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200_000] = bytes(200_000)
    weights.write_bytes(data)
    record = json.loads((entry / "manifest.json").read_text())
    for file in record["files"]:  # whoever damages the build also covers it up
        if file["path"] == "model.safetensors":
            import hashlib

            file["sha256"] = hashlib.sha256(data).hexdigest()
    (entry / "manifest.json").write_text(json.dumps(record))
    result = sandbox.zoo("check", "mine:v/mlx-8bit")
    assert result.returncode == 1
    assert "failed" in result.stdout + result.stderr
    assert not entry.exists()


def test_an_unknown_pass_or_option_is_refused(sandbox):
    add_mini(sandbox, ("bits = 8", "bitts = 8"))
    result = sandbox.zoo("build", "mine:v/mlx-8bit")
    assert result.returncode == 2
    assert "did you mean 'bits'" in result.stderr


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    """A checkpoint saved by transformers itself: rope_parameters, shards, no sliding window."""
    import torch
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    folder = tmp_path_factory.mktemp("foreign") / "checkpoint"
    tokenizer = AutoTokenizer.from_pretrained(RECIPES / "mini")
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=512,
        sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        initializer_range=0.3,
    )
    MistralForCausalLM(config).save_pretrained(folder, max_shard_size="500KB")
    tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def test_a_checkpoint_of_somebody_else_runs_in_both_formats(sandbox, foreign):
    code = GREEDY.replace("sys.argv[1]", repr(str(foreign)))
    result = sandbox.python(code)
    assert result.returncode == 0, result.stderr
    tokens = json.loads(result.stdout.splitlines()[-1])
    assert len(tokens["transformers"]) == 20
    assert tokens["torch"] == tokens["transformers"]
    assert tokens["mlx"] == tokens["transformers"]


def test_a_folder_tells_its_family_or_asks(sandbox, foreign):
    assert sandbox.zoo("run", str(foreign), "hi", "--max-tokens", "3").returncode == 0
    anonymous = sandbox.folder / "anonymous"
    shutil.copytree(foreign, anonymous)
    (anonymous / "config.json").write_text("{}")
    result = sandbox.zoo("run", str(anonymous), "hi")
    assert result.returncode == 2
    assert "--family" in result.stderr


def test_an_unpinned_source_is_pinned_by_its_first_pull(sandbox):
    branch = sandbox.folder / "hub" / "someone" / "mini" / "main"
    shutil.copytree(RECIPES / "mini", branch)
    with LoopbackHub(sandbox.folder / "hub") as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        ref = ("hf:someone/mini", "--family", "mistral")
        assert sandbox.zoo("pull", *ref, env=online).returncode == 0
        lock = json.loads((sandbox.home / "zoo.lock").read_text())
        first = lock["sources"]["someone/mini@main"]["commit"]
        assert first == hub.commit("someone/mini", "main")
        assert len(lock["sources"]["someone/mini@main"]["files"]) >= 4
    options = ("--max-tokens", "5", "--format", "mlx", "--no-check")
    result = sandbox.zoo("run", ref[0], "Once upon a time", *ref[1:], *options)
    assert result.returncode == 0, result.stderr


def test_an_unreachable_hub_and_a_gated_source_have_their_codes(sandbox):
    assert sandbox.zoo("pull", "mistral:7b-instruct").returncode == 7
    branch = sandbox.folder / "hub" / "mistralai" / "Mistral-7B-Instruct-v0.3" / "main"
    shutil.copytree(RECIPES / "mini", branch)
    with LoopbackHub(sandbox.folder / "hub", gated=("mistralai/Mistral-7B-Instruct-v0.3",)) as hub:
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        ref = ("hf:mistralai/Mistral-7B-Instruct-v0.3", "--family", "mistral")
        result = sandbox.zoo("pull", *ref, env=online)
        assert result.returncode == 4
        assert "gated" in result.stderr
        assert "hint: accept the license" in result.stderr
