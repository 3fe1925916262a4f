"""What recipes say of the size of Core ML builds, from the shapes of the published models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from families.openelm.test_openelm import PUBLISHED
from worlds.openelm_checkpoint import TINY

from zoo.catalogs import estimates
from zoo.catalogs.recipe import Build, Optimization, Recipe, read_recipe
from zoo.formats.coreml.compress.passes import read_passes, target_of
from zoo.formats.coreml.language.decoder import bits_per_weight
from zoo.formats.coreml.language.neural_engine.plan import bits_per_weight as static_bits
from zoo.formats.coreml.language.spec import DecoderSpec
from zoo_mistral.config import for_coreml, read_mistral_config
from zoo_mistral.config import parse_config as parse_mistral
from zoo_openelm.config import parse_config, read_openelm_config
from zoo_openelm.coreml import decoder_spec

RECIPES = Path(__file__).parents[3] / "recipes"


def mistral(width: int, inner: int, layers: int, heads: int, vocabulary: int) -> dict[str, Any]:
    """The config of a published model; all have 8 key-value heads of 128."""
    return {
        "model_type": "mistral",
        "hidden_size": width,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "vocab_size": vocabulary,
    }


MISTRAL_7B = mistral(4096, 14336, 32, 32, 32768)
OF_7B = {32000: "7b-v0.1 7b-instruct-v0.1 7b-instruct-v0.2 zephyr-7b-beta neural-chat-7b"}
OF_7B |= {32002: "openhermes-2.5 openchat-3.5", 32032: "hermes-2-pro"}
OF_7B |= {32768: "7b-v0.3 7b-instruct-v0.3 mathstral-7b"}
PUBLISHED_MISTRAL = {
    **{name: mistral(4096, 14336, 32, 32, n) for n, all in OF_7B.items() for name in all.split()},
    **dict.fromkeys(("nemo-base", "nemo-instruct"), mistral(5120, 14336, 40, 32, 131072)),
    "ministral-8b-instruct": mistral(4096, 12288, 36, 32, 131072),
    **dict.fromkeys(("small-instruct-2409", "codestral-22b"), mistral(6144, 16384, 56, 48, 32768)),
    **dict.fromkeys(
        ("small-24b-base-2501", "small-24b-instruct-2501"), mistral(5120, 32768, 40, 32, 131072)
    ),
    "large-instruct-2407": mistral(12288, 28672, 88, 96, 32768),
}
OPENELM = {
    **{key: value for key, value in TINY.items() if key not in ("num_query_heads", "num_kv_heads")},
    "vocab_size": 32000,
    "ffn_multipliers": [0.5, 4.0],
    "ffn_dim_divisor": 256,
}


def spec_of(recipe: Recipe) -> DecoderSpec:
    """The decoder of a recipe: of the checkpoint that is here, or as published."""
    if recipe.source.folder:
        folder = recipe.home / recipe.source.folder
        if recipe.family == "mistral":
            return for_coreml(read_mistral_config(folder), recipe.context)
        return decoder_spec(read_openelm_config(folder))
    if recipe.family == "mistral":
        return for_coreml(parse_mistral(PUBLISHED_MISTRAL[recipe.ref]), recipe.context)
    layers, width, head_dim, _ = PUBLISHED[recipe.ref.partition("-")[0]]
    sizes = {"num_transformer_layers": layers, "model_dim": width, "head_dim": head_dim}
    return decoder_spec(parse_config({**OPENELM, **sizes}))


@pytest.mark.parametrize(
    "path",
    sorted(path for family in ("mistral", "openelm") for path in RECIPES.glob(f"{family}/*.toml")),
    ids=lambda p: p.stem,
)
def test_the_bits_are_those_of_the_shapes(path):
    recipe = read_recipe(path)
    spec = spec_of(recipe)
    assert sum(_count(shape) for shape in spec.shapes.values()) == recipe.parameters
    compressed = {n: b for n, b in recipe.build.items() if b.format == "coreml" and b.optimize}
    for build in [compressed.pop(n) for n in [*compressed] if n == "coreml-mixed"]:
        assert build.bits == build.optimize[0].options["bits_per_weight"]
    assert len(compressed) >= 3
    for build in compressed.values():
        count = static_bits if target_of(build) == "neural-engine" else bits_per_weight
        assert build.bits == pytest.approx(count(spec, read_passes(recipe, build)), rel=0.005)


def _count(shape: tuple[int, ...]) -> int:
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


WHOLE = {"embeddings": True, "head": True}
ESTIMATED = {
    "int4": [{"kind": "quantize"}],
    "int4 by row": [{"kind": "quantize", "target": "neural-engine"}],
    "int4 by 16": [{"kind": "quantize", "block_size": 16}],
    "int8": [{"kind": "quantize", "bits": 8}],
    "3 bits": [{"kind": "palettize", "bits": 3}],
    "4 bits in groups": [{"kind": "palettize", "target": "neural-engine"}],
    "sparse": [{"kind": "prune", "sparsity": 0.4, **WHOLE}],
    "sparse int8": [{"kind": "prune", "n_of_m": [2, 4], **WHOLE}, {"kind": "quantize", "bits": 8}],
    "sparse palettes": [{"kind": "prune", "sparsity": 0.7, **WHOLE}, {"kind": "palettize"}],
}


@pytest.mark.parametrize("name", ESTIMATED)
def test_without_bits_in_the_recipe_they_are_estimated(name):
    recipe = read_recipe(RECIPES / "mistral" / "7b-instruct-v0.3.toml")
    steps = [dict(step) for step in ESTIMATED[name]]
    build = Build("coreml", tuple(Optimization(step.pop("kind"), step) for step in steps))
    true = bits_per_weight(for_coreml(parse_mistral(MISTRAL_7B), 32768), read_passes(recipe, build))
    assert estimates.bits_per_weight(build) == pytest.approx(true, rel=0.02)


def test_mixed_bits_are_what_they_are_asked_to_be():
    step = Optimization("mixed", {"bits_per_weight": 4.5, "calibration": "x"})
    assert estimates.bits_per_weight(Build("coreml", (step,))) == 4.5


def test_options_that_are_nonsense_break_no_estimate():
    steps = ({"sparsity": "half", "n_of_m": [4]}, {"bits": "few", "block_size": []})
    kinds = zip(("prune", "quantize"), steps, strict=True)
    build = Build("coreml", tuple(Optimization(kind, dict(step)) for kind, step in kinds))
    assert 0 < estimates.bits_per_weight(build) <= 17
