"""The conversion that works on a desktop and not on a phone: RMSNorm left in float16."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from worlds.coreml_builds import make_build

import zoo
import zoo_mistral.coreml
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.language.mask import causal_mask
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.tasks import verdict
from zoo.tasks.text.check import measure_text
from zoo.tasks.text.task import TASK
from zoo.tasks.text.tokenizer import Tokenizer
from zoo_mistral.torch import MistralTextModel

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "recipes" / "mistral"
sys.path.append(str(ROOT / "benchmarks"))

import plain_coreml  # noqa: E402

LIMITS = {"top1": 0.98, "kl": 0.01}
LOUDER, LAYERS = 128.0, 2


class Plain(zoo.TextModel):
    """A package of the usual conversion, whose logits are read at once."""

    def __init__(self, package: Path, mode) -> None:
        super().__init__(Tokenizer(RECIPE / "mini"), context=200)
        self.program = ReferenceProgram(package, mode=mode)

    def tokens(self, prompt, sampling):
        raise NotImplementedError

    def logits(self, tokens):
        inputs = {
            "inputIds": np.array([tokens], np.int32),
            "causalMask": causal_mask(len(tokens), len(tokens)),
        }
        return self.program.predict(inputs, self.program.make_state())["logits"][0]


@pytest.fixture(scope="module")
def loud(tmp_path_factory) -> Path:
    """The first layers of the miniature, with a residual stream that is 128 times as large.

    Every layer normalizes what it reads, so the model computes the same. Streams of such a size are
    what real models have: Mistral 7B's reach into the hundreds.
    """
    folder = shutil.copytree(RECIPE / "mini", tmp_path_factory.mktemp("loud") / "source")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": LAYERS}))
    left_out = tuple(f"model.layers.{n}." for n in range(LAYERS, config["num_hidden_layers"]))
    weights = load_file(folder / "model.safetensors")
    weights = {n: weight for n, weight in weights.items() if not n.startswith(left_out)}
    for name, weight in weights.items():
        if name.endswith(("embed_tokens.weight", "o_proj.weight", "down_proj.weight")):
            weights[name] = (weight.float() * LOUDER).to(weight.dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def plain(loud) -> Path:
    package = loud.parent / "plain.mlpackage"
    plain_coreml.convert(str(loud)).save(str(package))
    return package


def judge(loud: Path, build) -> verdict.Verdict:
    figures = measure_text(
        [RECIPE / "mini-check.txt"], lambda: MistralTextModel.load(loud, context=200), build
    )
    return verdict.judge(TASK, figures, LIMITS, {})


@pytest.mark.long
def test_in_float32_the_usual_conversion_looks_right(loud, plain):
    assert judge(loud, lambda: Plain(plain, "fp32")).status == "passed"


def test_in_float16_the_gate_catches_it(loud, plain):
    verdict = judge(loud, lambda: Plain(plain, "fp16"))
    assert verdict.status == "failed"
    assert not verdict.metrics["kl"] < 1


@pytest.mark.parametrize("target", ["gpu", pytest.param("neural-engine", marks=pytest.mark.long)])
def test_zoos_own_conversion_stands_it(loud, tmp_path, target):
    build = make_build(zoo_mistral.coreml, loud, tmp_path, target=target)
    assert judge(loud, lambda: CoreMLTextModel.load(build)).status == "passed"
