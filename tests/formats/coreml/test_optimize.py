"""Passes of Core ML builds: every kind, against coremltools' own arithmetic and its own passes."""

from __future__ import annotations

import json
from pathlib import Path

import formats.test_text_models as mistral_checkpoint
import numpy as np
import pytest
from worlds.coreml_builds import Notes, make_build, operations, package_of
from worlds.coreml_programs import ct, mb, types, uniform

import zoo
import zoo_mistral.coreml
from zoo.formats.coreml.compress.allocation import allocate
from zoo.formats.coreml.compress.encoding import Scheme, encode, keep_largest, parts, stored_bits
from zoo.formats.coreml.compress.passes import LEDGER_FILE, Palettize, Prune, Quantize
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.formats.coreml.package.proto import WEIGHT_FILE
from zoo.formats.coreml.package.reader import decompress
from zoo.tasks.text.check import measure_text
from zoo_mistral.torch import MistralTextModel

MINI = Path(__file__).parents[3] / "recipes" / "mistral" / "mini"
WEIGHT = np.random.default_rng(3).normal(0, 0.05, (64, 128)).astype(np.float32)
CONV = np.random.default_rng(4).normal(0, 0.05, (32, 64, 3, 3)).astype(np.float32)
SCHEMES = {
    "int8": Scheme("linear", 8, 0),
    "int4 by block": Scheme("linear", 4, 32),
    "int4": Scheme("linear", 4, 0),
    **{f"palette {bits}": Scheme("palette", bits, 0) for bits in (1, 2, 3, 4, 6, 8)},
    "grouped palette": Scheme("palette", 4, 16),
    "half zero": Scheme(sparsity=0.5),
    "2 of 4 zero": Scheme(zeros_of=(2, 4)),
    "half zero, int8": Scheme("linear", 8, 0, sparsity=0.5),
    "half zero, int4 by block": Scheme("linear", 4, 32, sparsity=0.5),
    "half zero, palette": Scheme("palette", 4, 16, sparsity=0.5),
    "2 of 4 zero, palette": Scheme("palette", 6, 0, zeros_of=(2, 4)),
}
CONSTEXPR = {
    "data": "constexpr_blockwise_shift_scale",
    "indices": "constexpr_lut_to_dense",
    "mask": "constexpr_sparse_to_dense",
    "data_mask": "constexpr_sparse_blockwise_shift_scale",
    "indices_mask": "constexpr_lut_to_sparse",
}


def dense(made: dict[str, np.ndarray], by) -> np.ndarray:
    """The weight that operations `by(kind, arrays)` give back."""
    (kind,) = [CONSTEXPR[key] for key in made if key in CONSTEXPR]
    results = by(kind, made)
    if kind in ("constexpr_lut_to_sparse", "constexpr_sparse_blockwise_shift_scale"):
        mask, values = results
        results = by("constexpr_sparse_to_dense", {"nonzero_data": values, "mask": mask})
    return results[0]


def by_coremltools(kind: str, arrays: dict[str, np.ndarray]):
    """coremltools' own reading of the operation."""
    import importlib

    module = importlib.import_module("coremltools.converters.mil.mil.ops.defs.iOS18.compression")
    operation = getattr(module, kind)
    if kind == "constexpr_blockwise_shift_scale":
        return (operation.decompress(arrays["data"], arrays["scale"], None),)
    if kind == "constexpr_lut_to_dense":
        return (operation.decompress(arrays["indices"], arrays["lut"], None),)
    if kind == "constexpr_sparse_to_dense":
        return (operation.decompress(arrays["nonzero_data"], arrays["mask"]),)
    if kind == "constexpr_lut_to_sparse":
        return operation.decompress(
            arrays["indices_mask"], arrays["indices_nonzero_data"], arrays["lut"], None
        )
    return operation.decompress(arrays["data_mask"], arrays["nonzero_data"], arrays["scale"], None)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("weight", [WEIGHT, CONV], ids=["linear", "conv"])
def test_what_is_stored_is_near_the_weight(name, weight):
    scheme = SCHEMES[name]
    made = encode(weight, scheme)
    promised = parts(scheme, weight.shape)
    assert {key: array.shape for key, array in made.items()} == {
        key: array.shape for key, array in promised.items()
    }
    found = dense(made, decompress).astype(np.float32)
    np.testing.assert_allclose(found, dense(made, by_coremltools), rtol=1e-3, atol=1e-6)
    zeros = keep_largest(weight, scheme) == 0 if scheme.sparse else np.zeros(weight.shape, bool)
    assert not found[zeros].any()
    error = np.linalg.norm((found - weight)[~zeros]) / np.linalg.norm(weight)
    bound = {16: 1e-3, 8: 0.015, 6: 0.04, 4: 0.2, 3: 0.25, 2: 0.4, 1: 0.65}
    assert error < bound[scheme.bits]
    assert stored_bits(scheme, weight.shape) == sum(array.bits for array in promised.values())


@pytest.mark.parametrize("shape", [(6, 8), (5, 7), (3, 4, 2, 2)])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.999])
def test_exactly_so_many_weights_are_kept_and_they_are_the_largest(shape, sparsity):
    weight = np.round(uniform(*shape) * 3)  # many ties
    scheme = Scheme(sparsity=sparsity)
    kept = keep_largest(weight, scheme).astype(bool)
    assert kept.sum() == scheme.kept(shape)
    if kept.any() and not kept.all():
        assert np.abs(weight[kept]).min() >= np.abs(weight[~kept]).max()


def test_n_of_m_are_zero_in_every_row():
    kept = keep_largest(WEIGHT, Scheme(zeros_of=(3, 4)))
    assert (kept.reshape(-1, 4).sum(1) == 1).all()
    chosen = np.abs(WEIGHT).reshape(-1, 4).argmax(1)
    assert (kept.reshape(-1, 4).argmax(1) == chosen).all()


PEER = {
    "int8": ("linear", {"dtype": "int8", "granularity": "per_channel"}),
    "int4 by block": ("linear", {"dtype": "int4", "granularity": "per_block", "block_size": 32}),
    "int4": ("linear", {"dtype": "int4", "granularity": "per_channel"}),
    "palette 4": ("palette", {"nbits": 4, "mode": "kmeans"}),
    "palette 2": ("palette", {"nbits": 2, "mode": "kmeans"}),
    "half zero": ("prune", {"target_sparsity": 0.5}),
}


NEARER = {"int4 by block": 0.92, "int4": 0.9}
"""Scales that err least are nearer than those that hold the largest weight."""


@pytest.mark.parametrize("name", PEER)
def test_no_further_from_the_weight_than_coremltools_own_passes(name):
    from coremltools.optimize import coreml as peer

    kind, options = PEER[name]
    spec = [mb.TensorSpec((1, 128), dtype=types.fp16)]
    program = mb.program(input_specs=spec, opset_version=ct.target.iOS18)(
        lambda x: mb.linear(x=x, weight=WEIGHT.astype(np.float16), name="y")
    )
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )
    config, run = {
        "linear": (peer.OpLinearQuantizerConfig, peer.linear_quantize_weights),
        "palette": (peer.OpPalettizerConfig, peer.palettize_weights),
        "prune": (peer.OpMagnitudePrunerConfig, peer.prune_weights),
    }[kind]
    if kind == "linear":
        options = {"mode": "linear_symmetric", **options}
    made = config(weight_threshold=0, **options)
    theirs = run(model, peer.OptimizationConfig(global_config=made))
    weights = [
        w.val for w in peer.get_weights_metadata(peer.decompress_weights(theirs), 10).values()
    ]
    (other,) = [w for w in weights if w.shape == WEIGHT.shape]
    ours = dense(encode(WEIGHT, SCHEMES[name]), decompress).astype(np.float32)
    errors = [np.linalg.norm(found.astype(np.float32) - WEIGHT) for found in (ours, other)]
    assert errors[0] <= NEARER.get(name, 1.02) * errors[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return mistral_checkpoint.make(tmp_path_factory.mktemp("optimize") / "source")


BUILDS = {
    "int8": ([{"kind": "quantize", "bits": 8}], "constexpr_blockwise_shift_scale", 8.2),
    "int4": ([{"kind": "quantize"}], "constexpr_blockwise_shift_scale", 4.6),
    "6 bits": ([{"kind": "palettize", "bits": 6}], "constexpr_lut_to_dense", 6.3),
    "half zero": ([{"kind": "prune", "sparsity": 0.5, "embeddings": True, "head": True}],
                  "constexpr_sparse_to_dense", 9.1),
    "half zero, int8": (
        [{"kind": "prune", "sparsity": 0.5, "embeddings": True, "head": True},
         {"kind": "quantize", "bits": 8}],
        "constexpr_sparse_blockwise_shift_scale", 5.2,
    ),
    "half zero, palettes": (
        [{"kind": "prune", "n_of_m": [2, 4], "embeddings": True, "head": True},
         {"kind": "palettize", "group_size": 16}],
        "constexpr_lut_to_sparse", 3.4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUILDS)
def test_a_package_runs_as_it_is_stored(source, tmp_path, name):
    passes, operation, most_bits = BUILDS[name]
    build = make_build(zoo_mistral.coreml, source, tmp_path, *passes, context=64)
    found = operations(package_of(build))
    assert found[operation] == 16  # every matrix: two layers of seven, embedding and head
    ledger = json.loads((build / LEDGER_FILE).read_text())
    assert ledger["bits_per_weight"] < most_bits
    assert ledger["skipped"] == {}
    on_disk = (package_of(build) / WEIGHT_FILE).stat().st_size
    stored = sum(entry["bits"] for entry in ledger["entries"].values()) / 8
    rest = 4 * 64 * 32 + 2 * (1920 + 192 + 128 + 64)  # tables of positions, biases of zeros
    assert on_disk == pytest.approx(stored + rest, rel=0.02)
    with CoreMLTextModel.load(build) as model, MistralTextModel.load(source, context=None) as whole:
        prompt = list(range(20, 60))
        apart = np.abs(model.logits(prompt) - whole.logits(prompt)).mean()
        assert np.isfinite(apart)
        if "zero" not in name:
            assert apart < 0.1 * np.ptp(whole.logits(prompt))


def test_coremltools_reads_a_sparse_package(source, tmp_path):
    from coremltools.optimize import coreml as peer

    passes = [{"kind": "prune", "sparsity": 0.5}, {"kind": "palettize", "group_size": 16}]
    build = make_build(zoo_mistral.coreml, source, tmp_path, *passes, context=64)
    model = ct.models.MLModel(str(package_of(build)), skip_model_load=True)
    weights = peer.get_weights_metadata(peer.decompress_weights(model), 1000)
    (found,) = [w.val for name, w in weights.items() if "layers_1_mlp_down_proj" in name]
    assert 0.49 < (found == 0).mean() < 0.52


def test_layers_and_roles_have_bits_of_their_own(source, tmp_path):
    passes = {
        "kind": "palettize", "bits": 4, "embeddings": 8, "head": 16,
        "layers": {"*.mlp.*": 2, "model.layers.0.*": 6},
    }  # fmt: skip
    build = make_build(zoo_mistral.coreml, source, tmp_path, passes, context=64)
    entries = json.loads((build / LEDGER_FILE).read_text())["entries"]
    said = {name: entry["scheme"] for name, entry in entries.items()}
    assert said["model.embed_tokens.weight"] == "palettes of 8 bits"
    assert said["lm_head.weight"] == "float16"
    assert said["model.layers.0.mlp.up_proj.weight"] == "palettes of 6 bits"
    assert said["model.layers.1.mlp.up_proj.weight"] == "palettes of 2 bits"
    assert said["model.layers.1.self_attn.q_proj.weight"] == "palettes of 4 bits"


def test_what_does_not_divide_is_told(source, tmp_path):
    notes = Notes()
    passes = {"kind": "quantize", "bits": 4, "block_size": 128}
    build = make_build(zoo_mistral.coreml, source, tmp_path, passes, context=64, notes=notes)
    skipped = json.loads((build / LEDGER_FILE).read_text())["skipped"]
    assert set(skipped) == {f"model.layers.{n}.mlp.down_proj.weight" for n in (0, 1)}
    assert (
        "its 192 input channels are not a multiple of 128"
        in skipped["model.layers.0.mlp.down_proj.weight"]
    )
    assert any(
        note.startswith("2 weights left uncompressed, listed in compression.json")
        and "'model.layers.0.mlp.down_proj.weight'" in note
        for note in notes.said
    )


@pytest.mark.long
def test_mixed_bits_lose_less_than_the_same_bits_everywhere(tmp_path):
    """On the miniature: a random model has no layers that matter more than others."""
    source = MINI
    mixed = {"kind": "mixed", "bits_per_weight": 3.1, "calibration": "mini-calibration.txt"}
    uniform = {"kind": "palettize", "bits": 3}
    ledgers, losses = [], []
    for number, passes in enumerate((mixed, uniform)):
        build = make_build(zoo_mistral.coreml, source, tmp_path / str(number), passes)
        ledgers.append(json.loads((build / LEDGER_FILE).read_text()))
        figures = measure_text(
            [MINI.parent / "mini-check.txt"],
            lambda: MistralTextModel.load(source, context=None),
            lambda build=build: CoreMLTextModel.load(build),
        )
        losses.append(figures["kl"])
    assert ledgers[0]["bits_per_weight"] <= 3.1
    assert ledgers[1]["bits_per_weight"] == pytest.approx(3.0, abs=0.1)
    assert losses[0] < 0.8 * losses[1]
    assert len({entry["scheme"] for entry in ledgers[0]["entries"].values()}) > 3
    figures = ledgers[0]["figures"]
    assert figures["loss"] < 4 * figures["loss_if_losses_added_up"]
    again = {"kind": "palettize", "layers": ledgers[0]["layers"]}
    build = make_build(zoo_mistral.coreml, source, tmp_path / "again", again)
    assert json.loads((build / LEDGER_FILE).read_text())["entries"] == ledgers[0]["entries"]


def test_bits_are_spent_where_they_help_most():
    losses = {"a": {2: 9.0, 4: 1.0, 8: 0.5}, "b": {2: 2.0, 4: 1.8, 8: 0.0}}
    sizes = {name: {bits: 100 * bits for bits in (2, 4, 8)} for name in losses}
    assert allocate(losses, sizes, 400) == {"a": 2, "b": 2}
    assert allocate(losses, sizes, 600) == {"a": 4, "b": 2}
    assert allocate(losses, sizes, 1200) == {"a": 4, "b": 8}
    assert allocate(losses, sizes, 9999) == {"a": 8, "b": 8}
    with pytest.raises(
        zoo.RecipeError, match="take 400 bits on disk, and the bits_per_weight asked for leaves 200"
    ):
        allocate(losses, sizes, 200)


@pytest.mark.parametrize(
    ("passes", "words"),
    [
        ([{"kind": "mixed", "bits_per_weight": 4}], "calibration: is missing"),
        ([{"kind": "mixed", "bits_per_weight": 4, "calibration": "../x"}], "must stay beside"),
        ([{"kind": "mixed", "bits_per_weight": 4, "calibration": "none"}], "which does not exist"),
        ([{"kind": "mixed", "bits_per_weight": 40, "calibration": "x"}], "at most 16, not 40"),
        ([{"kind": "quantise"}], "did you mean 'quantize'"),
        ([{"kind": "quantize", "bits": 5}], "bits: must be one of (4, 8), not 5"),
        ([{"kind": "quantize", "block_size": 7}], "block_size: must be one of"),
        ([{"kind": "quantize", "target": "neural-engine", "block_size": 32}], "not for the Neural Engine"),
        ([{"kind": "quantize", "target": "npu"}], "must be one of 'gpu', 'neural-engine'"),
        ([{"kind": "palettize", "bits": 5}], "bits: must be one of (1, 2, 3, 4, 6, 8), not 5"),
        ([{"kind": "palettize", "layers": {"*": 7}}], "layers.*: must be one of"),
        ([{"kind": "palettize", "layers": {"model.layer.*": 6}}], "'model.layer.*' in layers matches no weight"),
        ([{"kind": "prune"}], "give either a share of zeros or n_of_m"),
        ([{"kind": "prune", "sparsity": 1.0}], "must be at least 0 and below 1"),
        ([{"kind": "prune", "n_of_m": [4, 2]}], "the first below the second"),
        ([{"kind": "quantize"}, {"kind": "prune", "sparsity": 0.5}], "it can prune, then quantize"),
        ([{"kind": "quantize"}, {"kind": "palettize"}], "it can prune, then quantize"),
    ],
)  # fmt: skip
def test_wrong_passes_are_refused(source, tmp_path, passes, words):
    with pytest.raises(zoo.RecipeError) as caught:
        make_build(zoo_mistral.coreml, source, tmp_path, *passes)
    assert words in str(caught.value)


def test_the_target_decides_what_is_not_said():
    assert Quantize().stored(4) == Scheme("linear", 4, 32)
    assert Quantize(bits=8).stored(8) == Scheme("linear", 8, 0)
    assert Quantize(target="neural-engine").stored(4) == Scheme("linear", 4, 0)
    assert Palettize().stored(4) == Scheme("palette", 4, 0)
    assert Palettize(target="neural-engine").stored(4) == Scheme("palette", 4, 16)
    assert Palettize(target="neural-engine", group_size=0).stored(4) == Scheme("palette", 4, 0)
    assert Prune(sparsity=0.5).pruned(Scheme(), "embeddings", "x") == Scheme()
