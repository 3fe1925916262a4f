"""What is known of the format before its runtime is needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import zoo
from zoo.formats import Weights
from zoo.formats.coreml import DecoderSpec, LayerSpec, TensorNames

from zoo_coreai.description import DESCRIPTION
from zoo_coreai.text import convert_decoder

MINIS = ("mistral:mini", "openelm:mini", "whisper:mini", "stable-diffusion:mini")
OFFERED = ("coreai", "coreai-int4", "coreai-palettized")


def build(**options: object) -> zoo.Build:
    kind = str(options.pop("kind", "quantize"))
    return zoo.Build("coreai", (zoo.Optimization(kind, options),))


@pytest.mark.parametrize("ref", [model.ref for model in zoo.catalog()])
def test_every_model_that_zoo_ships_is_offered_three_builds(ref):
    recipe = zoo.show(ref)
    assert not recipe.refused
    assert set(OFFERED) <= set(recipe.build)
    assert all(recipe.build[name].offered_by == "zoo-coreai 0.1.0" for name in OFFERED)
    precision = recipe.build["coreai"].options.get("precision", "float16")
    assert precision == ("float32" if ref in MINIS else "float16")


def test_it_is_never_what_runs_when_nobody_asks_for_it():
    assert zoo.plan("mistral:mini").format != "coreai"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kind": "prune"}, ("optimize[0].kind", "'quantize' and 'palettize', and not 'prune'")),
        ({"bits": 3}, ("optimize[0].bits", "must be one of (4, 8), not 3")),
        ({"kind": "palettize", "bits": 5}, ("optimize[0].bits", "must be one of (1, 2, 3, 4")),
        ({"block": 32}, ("optimize[0].block", "did you mean 'block_size'")),
        ({"embeddings": 4}, ("optimize[0].embeddings", "must be one of 8, 16")),
    ],
)
def test_a_wrong_pass_is_named_before_anything_is_made(options, expected):
    recipe = zoo.show("mistral:mini")
    ((where, what),) = DESCRIPTION.faults(recipe, build(**options))
    assert where == expected[0]
    assert expected[1] in what


def test_one_pass_is_enough():
    twice = replace(build(), optimize=build().optimize * 2)
    found = list(DESCRIPTION.faults(zoo.show("mistral:mini"), twice))
    assert found == [("optimize[1]", "coreai takes one pass")]


def test_sizes_follow_from_bits():
    weights = Weights(count=1_000_000, bytes=4_000_000)
    assert DESCRIPTION.disk_bytes(weights, zoo.Build("coreai")) == 2_000_000
    wide = zoo.Build("coreai", options={"precision": "float32"})
    assert DESCRIPTION.disk_bytes(weights, wide) == 4_000_000
    assert DESCRIPTION.bits_per_weight(build()) == 4.5
    assert DESCRIPTION.bits_per_weight(build(block_size=0)) == 4
    assert DESCRIPTION.bits_per_weight(build(kind="palettize", bits=6)) == 6


def test_browsing_imports_nothing_of_apple():
    code = (
        "import sys, json, zoo; zoo.show('mistral:mini'); zoo.plan('mistral:mini');"
        "print(json.dumps([m for m in sys.modules if m.split('.')[0] in"
        " ('coreai', 'coreai_torch', 'coreai_opt', 'torch', 'numpy')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_what_is_imported_is_declared():
    project = Path(__file__).parents[1]
    described = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    declared = {line.partition("==")[0] for line in described["optional-dependencies"]["runtime"]}
    declared = {name.replace("-", "_") for name in declared} | {"coreai", "zoo", "zoo_coreai"}
    declared |= {"numpy", "torch", "transformers", "diffusers"}  # of zoo-ml[torch]
    declared |= {"zoo_mistral", "zoo_openelm", "zoo_stable_diffusion", "zoo_whisper"}
    assert "zoo-ml[torch]" in described["dependencies"]
    for path in (project / "zoo_coreai").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            tops = {str(module).partition(".")[0] for module in modules}
            assert tops - set(sys.stdlib_module_names) <= declared, path.name


def test_a_decoder_of_another_kind_is_refused_by_name(tmp_path):
    names = TensorNames("e", "n", "a", ("q", "k", "v"), "o", "f", ("g", "u"), "d", biased=("q",))
    spec = DecoderSpec(
        8, 4, 2, (LayerSpec(2, 1, 8), LayerSpec(2, 1, 8, full=True)), names, 1e-6, 1e4, 8,
        window=4, rope_scaling="yarn", logit_cap=30.0,
    )  # fmt: skip
    recipe = zoo.show("mistral:mini")
    with pytest.raises(zoo.IntegrityError) as caught:
        convert_decoder(recipe, recipe.build["coreai"], spec, {}, tmp_path, tmp_path)
    assert caught.value.message == (
        "coreai does not support RoPE scaling 'yarn', soft caps of logits, layers with and without "
        "a window, biases"
    )
    assert not list(tmp_path.iterdir())
