"""Language models by Core ML: from saved packages, the same text as PyTorch writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import formats.test_text_models as mistral_checkpoint
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from worlds import openelm_checkpoint
from worlds.coreml_builds import make_build, operations, package_of

import zoo
import zoo_mistral.coreml
import zoo_openelm.coreml
from zoo.formats.coreml.language.mask import MASKED, causal_mask
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.formats.coreml.language.spec import read_spec
from zoo.formats.coreml.package.reader import Package
from zoo_mistral.torch import MistralTextModel
from zoo_openelm.coreml import OpenELMCoreMLTextModel
from zoo_openelm.torch import OpenELMTextModel

FAMILIES = {
    "mistral": (mistral_checkpoint.make, zoo_mistral.coreml, MistralTextModel, CoreMLTextModel),
    "openelm": (
        openelm_checkpoint.make,
        zoo_openelm.coreml,
        OpenELMTextModel,
        OpenELMCoreMLTextModel,
    ),
}
VARIANTS = {
    "mistral": ("mistral", {}),
    "mistral-tied": ("mistral", {"tie_word_embeddings": True}),
    "mistral-window": ("mistral", {"sliding_window": 8}),
    "mistral-one-key-head": ("mistral", {"num_key_value_heads": 1}),
    "mistral-all-key-heads": ("mistral", {"num_key_value_heads": 4}),
    "mistral-wide-heads": ("mistral", {"head_dim": 64}),
    "mistral-linear-rope": (
        "mistral",
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
    ),
    "openelm": ("openelm", {}),
    "openelm-untied": ("openelm", {"share_input_output_layers": False}),
    "openelm-no-qk-norm": ("openelm", {"normalize_qk_projections": False}),
    "openelm-sharded": ("openelm", {"shards": 2}),
}


def first(model: zoo.TextModel, prompt: list[int], count: int) -> list[int]:
    return list(model.tokens(prompt, zoo.Sampling(max_tokens=count)))


def change(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {family: make(folder / family) for family, (make, *_) in FAMILIES.items()}


@pytest.fixture(scope="module")
def builds(sources, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("builds")
    return {
        family: make_build(FAMILIES[family][1], source, folder / family)
        for family, source in sources.items()
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_logits_are_those_of_the_source(tmp_path, variant):
    family, changes = VARIANTS[variant]
    make, plugin, torch_model, coreml_model = FAMILIES[family]
    source = make(tmp_path / "source", **changes)
    prompt = list(range(20, 70))
    build = make_build(plugin, source, tmp_path)
    with coreml_model.load(build, mode="fp32") as model:
        found = model.logits(prompt)
        written = first(model, prompt, 20)
    with torch_model.load(source, context=None) as model:
        wanted = model.logits(prompt)
        after = model.logits([*prompt, *written])[len(prompt) - 1 : -1]
    assert np.ptp(wanted) > 1
    assert np.abs(found - wanted).max() < 0.01 * np.ptp(wanted)
    short_of_best = after.max(-1) - after[range(20), written]
    assert short_of_best.max() < 0.01 * np.ptp(wanted)  # a near tie at most


def test_every_input_state_and_output_is_described_in_the_package(builds):
    (package,) = builds["mistral"].glob("*.mlpackage")
    described = Package(package).spec.description
    for each in (described, *described.functions):
        features = [*each.input, *each.state, *each.output]
        assert all(feature.shortDescription for feature in features)
    one = described.functions[0] if described.functions else described
    assert {f.name for f in one.output} == {"logits"}
    assert one.output[0].shortDescription == "one row for each position asked for"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chunk", [1, 7, 49])
def test_chunks_do_not_change_the_logits(builds, monkeypatch, family, chunk):
    tokens = list(range(10, 60))
    with FAMILIES[family][3].load(builds[family]) as model:
        whole = model.logits(tokens)
        monkeypatch.setattr("zoo.formats.coreml.language.model.CHUNK", chunk)
        np.testing.assert_allclose(model.logits(tokens), whole, atol=0.02 * np.ptp(whole))


@pytest.mark.parametrize("family", FAMILIES)
def test_rounding_to_float16_costs_little(builds, family):
    tokens = list(range(10, 60))
    found = {}
    for mode in ("fp16", "fp32"):
        with FAMILIES[family][3].load(builds[family], mode=mode) as model:
            found[mode] = model.logits(tokens)
    apart = np.abs(found["fp16"] - found["fp32"]).max()
    assert 0 < apart < 0.05 * np.ptp(found["fp32"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_program_has_fused_attention_and_a_state(builds, family):
    layers = len(read_spec(builds[family]).layers)
    found = operations(package_of(builds[family]))
    assert found["scaled_dot_product_attention"] == layers
    assert found["softmax"] == found["matmul"] == 0
    assert found["read_state"] == 4 * layers
    assert found["write_state"] == found["slice_update"] == 2 * layers
    package = Package(package_of(builds[family]))
    interface, _ = package.function()
    assert [feature.name for feature in interface.state] == ["keyCache", "valueCache"]
    assert package.spec.specificationVersion == 9  # iOS 18


def test_coremltools_opens_the_package_and_reads_its_metadata(builds):
    import coremltools as ct

    model = ct.models.MLModel(str(package_of(builds["openelm"])), skip_model_load=True)
    assert model.license == "MIT"
    details = model.user_defined_metadata
    assert details["zoo.tool.coremltools"] == ct.__version__
    assert details["zoo.context"] == "256"
    assert details["zoo.source"] == "openelm"
    assert details["zoo.minimum_os"] == "iOS18, macOS15"
    assert details["zoo.compute_units"] == "cpuAndGPU"
    assert model.short_description.endswith("For GPU and CPU.")
    shapes = {
        feature.name: feature.type.multiArrayType for feature in model.get_spec().description.input
    }
    assert shapes["inputIds"].shapeRange.sizeRanges[1].upperBound == 256


def test_two_conversations_do_not_mix(builds):
    with CoreMLTextModel.load(builds["mistral"]) as model:
        alone = [first(model, prompt, 6) for prompt in ([5, 6, 7], [50, 60])]
        one, other = (model.tokens(p, zoo.Sampling(max_tokens=6)) for p in ([5, 6, 7], [50, 60]))
        mixed = [[], []]
        for _ in range(6):
            mixed[0].append(next(one))
            mixed[1].append(next(other))
    assert mixed == alone


def test_the_context_is_what_the_state_holds(sources, tmp_path):
    build = make_build(zoo_mistral.coreml, sources["mistral"], tmp_path, context=32)
    with CoreMLTextModel.load(build) as model:
        assert model.context == 32
        assert len(model.logits(list(range(32)))) == 32
        assert len(first(model, [1] * 30, 2)) == 2
        with pytest.raises(zoo.InputError, match="33 tokens are more than the 32"):
            model.logits(list(range(33)))
        with pytest.raises(zoo.InputError, match="at most 31"):
            model.generate("the " * 64)
        with pytest.raises(zoo.InputError, match="token 5000 is not below"):
            model.logits([5000])


def test_no_more_context_than_the_model_was_trained_for(sources, tmp_path):
    build = make_build(zoo_mistral.coreml, sources["mistral"], tmp_path, context=100_000)
    assert read_spec(build).context == 256


def break_weights(folder: Path, name: str, value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[name].view(-1)[3] = value
    save_file(weights, folder / "model.safetensors")


NORM = {"mistral": "model.norm.weight", "openelm": "transformer.norm.weight"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("value", "words"),
    [(float("nan"), "holds NaN or infinity"), (1e6, "does not fit float16")],
)
def test_weights_that_are_no_numbers_are_refused(sources, tmp_path, family, value, words):
    source = shutil.copytree(sources[family], tmp_path / "source")
    break_weights(source, NORM[family], value)
    with pytest.raises(zoo.IntegrityError, match=words) as caught:
        make_build(FAMILIES[family][1], source, tmp_path)
    assert NORM[family] in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hidden_size": 64}, "has the shape"),
        ({"num_hidden_layers": 3}, "'model.layers.2.input_layernorm.weight' is missing"),
        ({"num_hidden_layers": 1}, "'model.layers.1.input_layernorm.weight' is unknown"),
        ({"num_key_value_heads": 3}, "4 attention heads do not share 3 key heads"),
        ({"num_key_value_heads": 0}, "must be a whole number above 0, not 0"),
        ({"vocab_size": "many"}, "vocab_size must be a whole number above 0, not 'many'"),
        ({"tie_word_embeddings": True, "vocab_size": 7}, "has the shape"),
        ({"hidden_act": "relu2"}, "does not support the activation 'relu2'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "RoPE scaling 'yarn'"),
    ],
)
def test_a_config_that_lies_is_refused(sources, tmp_path, values, words):
    source = shutil.copytree(sources["mistral"], tmp_path / "source")
    change(source, **values)
    with pytest.raises(zoo.IntegrityError, match=words):
        make_build(zoo_mistral.coreml, source, tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"context": 1}, "context: must be at least 2"), ({"contxt": 64}, "did you mean 'context'")],
)
def test_wrong_options_are_refused(sources, tmp_path, options, words):
    with pytest.raises(zoo.RecipeError) as caught:
        make_build(zoo_mistral.coreml, sources["mistral"], tmp_path, **options)
    assert words in str(caught.value)


def test_a_conversion_leaves_no_temporary_files(builds):
    assert not [path for path in builds["mistral"].rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("window", [None, 1, 3])
def test_the_mask_shows_what_came_before(window):
    mask = causal_mask(2, 5, window)
    assert mask.shape == (1, 1, 2, 5)
    seen = (mask[0, 0] == 0).astype(int).tolist()
    assert (
        seen
        == {
            None: [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]],
            1: [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]],
            3: [[0, 1, 1, 1, 0], [0, 0, 1, 1, 1]],
        }[window]
    )
    assert np.isfinite(mask).all()


def test_a_masked_score_stays_finite_in_float16_and_gets_no_weight():
    masked = causal_mask(1, 1) + np.float16(MASKED)
    for score in np.array([-20_000, 0, 20_000], np.float16):
        assert np.isfinite(masked + score).all()
    assert np.exp(np.float16(MASKED)) == 0
