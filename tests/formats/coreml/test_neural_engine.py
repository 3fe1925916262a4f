"""Language models for the Neural Engine: the same logits as the flexible build, in static shapes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import formats.test_text_models as mistral_checkpoint
import numpy as np
import pytest
from formats.test_lora import products as random_products
from formats.test_lora import write_peft
from worlds import openelm_checkpoint
from worlds.coreml_builds import make_build, operations
from worlds.coreml_programs import run, uniform, write

import zoo
import zoo_mistral.coreml
import zoo_openelm.coreml
from zoo.formats.coreml.convert import norms
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.formats.coreml.language.neural_engine import plan
from zoo.formats.coreml.language.neural_engine.embeddings import Table
from zoo.formats.coreml.language.neural_engine.manifest import MANIFEST_FILE, read_manifest
from zoo.formats.coreml.package.reader import Package
from zoo.formats.tensors import Tensors
from zoo_openelm.coreml import OpenELMCoreMLTextModel

FAMILIES = {
    "mistral": (mistral_checkpoint.make, zoo_mistral.coreml, CoreMLTextModel),
    "openelm": (openelm_checkpoint.make, zoo_openelm.coreml, OpenELMCoreMLTextModel),
}
TARGET = {"target": "neural-engine"}
TEXT = [5 + number * 7 % 300 for number in range(150)]
RECIPES = Path(__file__).parents[3] / "recipes"


def both(folder: Path, family: str, *passes, **changes) -> tuple[Path, Path]:
    """A checkpoint's build for the Neural Engine, and its flexible one."""
    make, plugin, _ = FAMILIES[family]
    source = make(folder / "source", **changes)
    made = [
        make_build(plugin, source, folder / n, *passes, **o) for n, o in (("a", TARGET), ("b", {}))
    ]
    return made[0], made[1]


def logits(family: str, build: Path, tokens: list[int] = TEXT) -> np.ndarray:
    with FAMILIES[family][2].load(build, mode="fp32") as model:
        return model.logits(tokens)


def require_close(found: np.ndarray, wanted: np.ndarray, share: float = 0.01) -> None:
    assert np.ptp(wanted) > 1
    assert np.abs(found - wanted).max() < share * np.ptp(wanted)


VARIANTS = {
    "mistral": ("mistral", {}),
    "mistral-tied": ("mistral", {"tie_word_embeddings": True}),
    "mistral-window": ("mistral", {"sliding_window": 8}),
    "mistral-one-key-head": ("mistral", {"num_key_value_heads": 1}),
    "mistral-one-layer-one-head": (
        "mistral",
        {"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1},
    ),
    "mistral-wide-heads": ("mistral", {"head_dim": 64}),
    "mistral-odd-context": ("mistral", {"max_position_embeddings": 157}),
    "openelm": ("openelm", {}),
    "openelm-untied": ("openelm", {"share_input_output_layers": False}),
    "openelm-no-qk-norm": ("openelm", {"normalize_qk_projections": False}),
    "openelm-sharded": ("openelm", {"shards": 2}),
}


SHORT = ("mistral", "mistral-window", "mistral-one-key-head", "openelm", "openelm-sharded")


@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=() if v in SHORT else pytest.mark.long) for v in VARIANTS],
)
def test_the_logits_are_those_of_the_flexible_build(tmp_path, variant):
    family, changes = VARIANTS[variant]
    static, flexible = both(tmp_path, family, **changes)
    require_close(logits(family, static), logits(family, flexible))


@pytest.fixture(scope="module")
def mistral(tmp_path_factory) -> tuple[Path, Path]:
    return both(tmp_path_factory.mktemp("mistral"), "mistral")


def test_tokens_one_by_one_are_the_same_as_a_prompt_at_once(mistral):
    with CoreMLTextModel.load(mistral[0]) as model:
        whole = model.logits(TEXT[:80])
        conversation = model._begin(TEXT)
        apart = [conversation.go_on([token], [0])[0] for token in TEXT[:80]]
        np.testing.assert_allclose(np.stack(apart), whole, atol=0.02 * np.ptp(whole))


@pytest.mark.parametrize("first", [1, 7, 64, 65])
def test_a_text_is_the_same_however_it_is_cut(mistral, first):
    """What fills up a block at the beginning is forgotten again."""
    with CoreMLTextModel.load(mistral[0], mode="fp32") as model:
        whole = model.logits(TEXT[:90])
        conversation = model._begin(TEXT)
        conversation.go_on(TEXT[:first], [0])
        rest = conversation.go_on(TEXT[first:90], list(range(90 - first)))
        require_close(rest, whole[first:], 0.001)


def test_a_build_of_before_reads_prompts_in_blocks(mistral, tmp_path):
    build = shutil.copytree(mistral[0], tmp_path / "build")
    change(build, begin=[])
    require_close(logits("mistral", build), logits("mistral", mistral[0]), 0.001)


def test_it_writes_the_same_tokens_with_the_same_options(mistral):
    written = []
    for build in mistral:
        with CoreMLTextModel.load(build, mode="fp32") as model:
            options = zoo.Sampling(max_tokens=8, temperature=0.2, top_k=20, seed=3)
            written.append(list(model.tokens(TEXT[:70], options)))
    assert written[0] == written[1]


def test_two_conversations_do_not_mix(mistral):
    with CoreMLTextModel.load(mistral[0]) as model:
        options = zoo.Sampling(max_tokens=5)
        alone = [list(model.tokens(prompt, options)) for prompt in ([5, 6, 7], [50, 60])]
        one, other = (model.tokens(prompt, options) for prompt in ([5, 6, 7], [50, 60]))
        mixed = [[next(one), next(other)] for _ in range(5)]
    assert [list(tokens) for tokens in zip(*mixed, strict=True)] == alone


def test_the_context_ends_where_it_is_said(tmp_path):
    source = mistral_checkpoint.make(tmp_path / "source")
    build = make_build(zoo_mistral.coreml, source, tmp_path, context=40, **TARGET)
    assert read_manifest(build).length == 64
    with CoreMLTextModel.load(build) as model:
        assert model.context == 40
        assert len(model.logits(list(range(40)))) == 40
        with pytest.raises(zoo.InputError, match="41 tokens are more than the 40"):
            model.logits(list(range(41)))


def test_the_programs_are_static_with_rank_4_caches_and_convolutions(mistral):
    package = Package(mistral[0] / "layers1.mlpackage")
    assert package.functions == ["extend", "begin_64", "prefill"]
    for name, tokens, seen in (("extend", 1, 256), ("prefill", 64, 256), ("begin_64", 64, 64)):
        interface, _ = package.function(name)
        shapes = {f.name: [*f.type.multiArrayType.shape] for f in interface.input}
        update = {} if name == "begin_64" else {"cacheUpdateMask": [1, 1, tokens, 256]}
        assert shapes == {
            "hiddenStates": [1, 1, tokens, 128],
            "causalMask": [1, 1, tokens, seen],
            **update,
        }
        states = {f.name: [*f.type.stateType.arrayType.shape] for f in interface.state}
        assert states == {key: [1, 4, 32, 256] for key in ("keyCache", "valueCache")}
        used = operations(package.path, name)
        assert used["conv"] == 2 * 7
        assert used["softmax"] == 2 * 4
        assert not {"linear", "gather", "cast", "slice_update"} & used.keys()


def test_functions_share_their_weights(mistral):
    weights = [path.stat().st_size for path in mistral[0].rglob("weight.bin")]
    table = (mistral[0] / "embeddings.safetensors").stat().st_size
    (flexible,) = (path.stat().st_size for path in mistral[1].rglob("weight.bin"))
    assert sum(weights) + table == pytest.approx(flexible, rel=0.02)


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=() if f == "mistral" else pytest.mark.long) for f in FAMILIES],
)
def test_wide_matrices_are_cut_and_large_models_are_several_packages(tmp_path, monkeypatch, family):
    make, plugin, _ = FAMILIES[family]
    source = make(tmp_path / "source")
    wanted = logits(family, make_build(plugin, source, tmp_path / "flexible"))
    monkeypatch.setattr(plan, "WIDEST", 80)
    monkeypatch.setattr(norms, "WIDEST", 80)
    most = {"mistral": 180_000, "openelm": 70_000}[family]
    monkeypatch.setattr(plan, "LARGEST", most)
    adapter = write_peft(tmp_path / "pirate", random_products(family, source, 1))
    build = make_build(plugin, source, tmp_path, adapters={"pirate": adapter}, **TARGET)
    manifest = read_manifest(build)
    assert len(manifest.layers) > 2
    assert len(manifest.heads) == (3 if family == "mistral" else 1)
    first = [part.first for part in manifest.layers]
    assert first[0] == "0.attention"
    assert len(set(first)) == len(first)
    outputs = [name for head in manifest.heads for name in head.outputs]
    assert outputs == [f"logits{n + 1}" for n in range(len(outputs))]
    assert len(outputs) > 3
    for path in build.rglob("weight.bin"):
        assert path.stat().st_size < most + 20_000
    require_close(logits(family, build), wanted)
    whole = make_build(plugin, source, tmp_path / "whole", adapters={"pirate": adapter})
    said = []
    for made in (build, whole):
        with FAMILIES[family][2].load(made, mode="fp32") as model:
            model.use("pirate")
            said.append(model.logits(TEXT[:40]))
    require_close(*said)
    assert np.abs(said[0] - wanted[:40]).max() > 0.05 * np.ptp(wanted)


def test_what_fits_no_package_is_refused(tmp_path, monkeypatch):
    source = mistral_checkpoint.make(tmp_path / "source")
    monkeypatch.setattr(plan, "LARGEST", 90_000)
    with pytest.raises(zoo.InputError, match=r"0\.attention takes .* at most 90\.0 kB"):
        make_build(zoo_mistral.coreml, source, tmp_path, **TARGET)


@pytest.mark.parametrize(
    ("passes", "stored"),
    [
        ({"kind": "palettize", "bits": 6, "group_size": 16}, "palettes of 6 bits, groups of 16"),
        ({"kind": "quantize", "bits": 8}, "int8"),
    ],
    ids=["palettes", "int8"],
)
def test_compressed_it_is_the_same_as_the_compressed_flexible_build(tmp_path, passes, stored):
    static, flexible = both(tmp_path, "mistral", {**passes, "embeddings": 16})
    require_close(logits("mistral", static), logits("mistral", flexible))
    ledgers = [json.loads((b / "compression.json").read_text()) for b in (static, flexible)]
    schemes = [{n: e["scheme"] for n, e in ledger["entries"].items()} for ledger in ledgers]
    assert schemes[0] == schemes[1]
    assert schemes[0]["model.layers.0.mlp.up_proj.weight"] == stored
    assert ledgers[0]["bits_per_weight"] == ledgers[1]["bits_per_weight"]


@pytest.mark.parametrize(("bits", "stored"), [(8, "int8"), (16, "float16")])
def test_the_table_of_embeddings_is_near_the_source(tmp_path, bits, stored):
    source = mistral_checkpoint.make(tmp_path / "source")
    passes = {"kind": "palettize", "bits": 6, "embeddings": bits}
    build = make_build(zoo_mistral.coreml, source, tmp_path, passes, **TARGET)
    name = "model.embed_tokens.weight"
    wanted = Tensors(source).read(name)
    table = Table(build / "embeddings.safetensors", wanted.shape)
    apart = np.abs(table.rows(range(len(wanted))) - wanted).max(1)
    assert (apart <= np.abs(wanted).max(1) / (100 if bits == 8 else 1000)).all()
    ledger = json.loads((build / "compression.json").read_text())
    assert ledger["entries"][name]["scheme"] == stored


def test_a_target_of_the_pass_makes_the_program_too(tmp_path):
    source = mistral_checkpoint.make(tmp_path / "source")
    passes = {"kind": "palettize", "bits": 6, **TARGET}
    build = make_build(zoo_mistral.coreml, source, tmp_path, passes)
    assert (build / MANIFEST_FILE).is_file()


@pytest.mark.parametrize(
    ("passes", "target", "words"),
    [
        ((), "npu", "target: must be one of 'gpu', 'neural-engine'"),
        (({"kind": "quantize", "target": "gpu"},), "neural-engine", "is 'gpu', and the build is"),
        (({"kind": "quantize", "block_size": 32},), "neural-engine", "not for the Neural Engine"),
    ],
)
def test_wrong_targets_are_refused(tmp_path, passes, target, words):
    source = mistral_checkpoint.make(tmp_path / "source")
    with pytest.raises(zoo.RecipeError) as caught:
        make_build(zoo_mistral.coreml, source, tmp_path, *passes, target=target)
    assert words in str(caught.value)


DAMAGE = {
    "no manifest field": (lambda b: change(b, layers=[]), "layers: must not be empty"),
    "a package outside": (lambda b: change(b, embeddings="../x"), "not a plain path"),
    "a beginning that is too long": (lambda b: change(b, begin=[999]), "begin: must be from 1"),
    "no package": (lambda b: shutil.rmtree(b / "head.mlpackage"), "head.mlpackage"),
    "no table": (lambda b: (b / "embeddings.safetensors").unlink(), "is missing"),
    "a short table": (lambda b: cut(b / "embeddings.safetensors"), "not a valid safetensors"),
}


def change(build: Path, **values) -> None:
    data = json.loads((build / MANIFEST_FILE).read_text())
    (build / MANIFEST_FILE).write_text(json.dumps({**data, **values}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_build_is_refused_in_a_sentence(mistral, tmp_path, damage):
    build = shutil.copytree(mistral[0], tmp_path / "build")
    harm, words = DAMAGE[damage]
    harm(build)
    with pytest.raises(zoo.IntegrityError, match=words):
        CoreMLTextModel.load(build)


@pytest.mark.parametrize(
    ("shape", "axis", "widest"),
    [
        ((1, 24, 1, 3), 1, 48),
        ((1, 24, 1, 3), 1, 40),
        ((1, 6, 24, 3), 2, 48),
        ((1, 6, 24, 3), 2, 40),
    ],
)
def test_the_norm_stands_large_activations(tmp_path, monkeypatch, shape, axis, widest):
    """Of numbers whose squares are far beyond float16, as the executor rounds them."""
    monkeypatch.setattr(norms, "WIDEST", widest)
    x = uniform(*shape, low=-30000, high=30000)
    x[..., 1] = 0
    x[..., 2] /= 1e6
    gain = uniform(*[n if i == axis else 1 for i, n in enumerate(shape)])

    def program(x):
        return norms.rms_norm(x, gain.astype(np.float16), 1e-5, axis)

    package = write(tmp_path / "norm.mlpackage", program, x.shape, half=True)
    (found,) = run(package, x, mode="fp16")
    given = x.astype(np.float16).astype(np.float64)
    mean = (given**2).mean(axis, keepdims=True)
    wanted = given / np.sqrt(mean + 1e-5) * gain
    np.testing.assert_allclose(found, wanted, rtol=5e-3, atol=2e-3)


def test_the_miniature_from_outside(built):
    """It is built, checked, linted and run, by name."""
    ref = "mistral:mini/coreml-ane"
    done = built.zoo("run", ref, "Once upon a time", "--max-tokens", "12")
    assert done.returncode == 0, done.stderr
    torch = built.zoo("run", "mistral:mini/torch", "Once upon a time", "--max-tokens", "12")
    assert done.stdout.split()[:4] == torch.stdout.split()[:4]
    assert len(done.stdout.split()) > 6
    pirate = ("--adapter", "pirate", "--max-tokens", "40")
    assert " wee " in built.zoo("run", ref, "Once upon a time", *pirate).stdout
    cost = json.loads(built.zoo("cost", ref, "--tokens", "100", "--json").stdout)
    assert "64 tokens" in cost["case"]


@pytest.mark.parametrize("family", ["mistral", pytest.param("openelm", marks=pytest.mark.long)])
def test_nothing_is_known_to_go_wrong_with_it(built, family):
    built.zoo("build", f"{family}:mini/coreml-ane")
    line = ("lint", f"{family}:mini/coreml-ane", "--for", "iphone-neural-engine", "--json")
    done = built.zoo(*line, "--fail-on", "note")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["findings"] == []


def test_the_build_for_a_gpu_is_told_what_is_wrong(built):
    built.zoo("build", "mistral:mini/coreml-int4")
    line = ("lint", "mistral:mini/coreml-int4", "--for", "iphone-neural-engine", "--json")
    done = built.zoo(*line, "--fail-on", "refused")
    assert done.returncode == 1
    found = {finding["id"] for finding in json.loads(done.stdout)["findings"]}
    assert found >= {"A2", "A3", "A5", "A21", "A26"}
