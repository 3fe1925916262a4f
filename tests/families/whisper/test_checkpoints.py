"""Whisper checkpoints of others: every key, tensor and adapter is applied, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizerFast,
)
from worlds import whisper_checkpoint
from worlds.coreml_builds import make_build

import zoo
import zoo_whisper.coreml
from zoo_whisper.coreml import CoreMLWhisper
from zoo_whisper.mlx import MLXWhisper
from zoo_whisper.torch import TorchWhisper
from zoo_whisper.vocabulary import Vocabulary

FORMATS = {"torch": TorchWhisper, "mlx": MLXWhisper}
TOKENS = [50258, 50259, 50359, 5, 7, 300, 40_000, 9]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return whisper_checkpoint.make(tmp_path_factory.mktemp("whisper") / "source", seconds=2)


def copy(source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def edit(path: Path, **changes) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **changes}))


def noise(model: zoo.SpeechModel) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 0.1, model.window).astype(np.float32)


def reference(folder: Path, model: zoo.SpeechModel) -> np.ndarray:
    theirs = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    return logits_of(theirs, model)


def logits_of(theirs, model: zoo.SpeechModel) -> np.ndarray:
    features = torch.from_numpy(model.features(noise(model)))
    with torch.inference_mode():
        return theirs(input_features=features, decoder_input_ids=torch.tensor([TOKENS])).logits[0]


def require_near(found, wanted, share: float = 2e-3) -> None:
    np.testing.assert_allclose(found, wanted, atol=share * float(np.abs(wanted).max()))


UNUSUAL = {
    "activation_function": ["relu", "silu", "gelu_new", "quick_gelu", "tanh"],
    "scale_embedding": [True],
    "median_filter_width": [3, 4],
    "num_hidden_layers": [9],
    "dropout": [0.5],
    "use_weighted_layer_sum": [True],
    "forced_decoder_ids": [[[1, 50260], [2, 50359]]],
    "quantization_config": [{"quant_method": "bitsandbytes"}],
    "no_repeat_ngram_size": [3],
    "pruned_heads": [{"0": [1]}],
    "is_encoder_decoder": [False],
    "rope_scaling": [{"factor": 2}],
    "encoder_layers": [1, 3, 0, "2", 10**12],
    "decoder_attention_heads": [3, 4],
    "max_target_positions": [32, 128],
    "vocab_size": [51866],
    "tie_word_embeddings": [False],
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in UNUSUAL.items() for value in values]
)
def test_a_config_agrees_with_transformers_or_is_refused(source, tmp_path, format, key, value):
    folder = copy(source, tmp_path / "source")
    edit(folder / "config.json", **{key: value})
    try:
        model = FORMATS[format](folder)
    except zoo.ZooError as error:
        refused = error.message
    else:
        refused = ""
    if refused:
        assert key in refused or "weights" in refused or "quantized" in refused
        assert len(refused) < 900
        return
    require_near(model.logits(noise(model), TOKENS), reference(folder, model))


@pytest.mark.parametrize("key", ["num_beams", "repetition_penalty", "do_sample", "unheard_of"])
def test_decoding_that_is_not_implemented_is_named(source, tmp_path, key):
    folder = copy(source, tmp_path / "source")
    edit(folder / "generation_config.json", **{key: 2})
    with pytest.raises(zoo.IntegrityError, match=f"{key} = 2"):
        TorchWhisper(folder)


@pytest.mark.parametrize(
    ("key", "value"), [("hop_length", 80), ("dither", 0.1), ("feature_size", 128), ("n_fft", 512)]
)
def test_another_spectrogram_is_named(source, tmp_path, key, value):
    folder = copy(source, tmp_path / "source")
    edit(folder / "preprocessor_config.json", **{key: value})
    with pytest.raises(zoo.IntegrityError, match=key):
        TorchWhisper(folder)


@pytest.mark.parametrize("value", ["x", None, [1], -1, 1.5])
@pytest.mark.parametrize("key", ["max_source_positions", "num_mel_bins", "max_target_positions"])
def test_what_is_not_a_size_is_named(source, tmp_path, key, value):
    folder = copy(source, tmp_path / "source")
    edit(folder / "config.json", **{key: value})
    with pytest.raises(zoo.IntegrityError, match=key):
        TorchWhisper(folder)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_a_head_of_its_own_in_every_format(source, tmp_path, activation):
    folder = tmp_path / "untied"
    copy(source, folder)
    config = WhisperConfig.from_pretrained(source)
    config.tie_word_embeddings, config.activation_function = False, activation
    config.init_std = 0.3
    torch.manual_seed(5)
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    (folder / "generation_config.json").write_bytes(
        (source / "generation_config.json").read_bytes()
    )
    model = TorchWhisper(folder)
    wanted = reference(folder, model)
    require_near(model.logits(noise(model), TOKENS), wanted)
    require_near(MLXWhisper(folder).logits(noise(model), TOKENS), wanted)
    build = CoreMLWhisper(make_build(zoo_whisper.coreml, folder, tmp_path / "build"))
    require_near(build.logits(noise(model), TOKENS), wanted, 0.1)


CHANGES = {
    "wrapped": lambda w: {f"module.{name}": weight for name, weight in w.items()},
    "compiled": lambda w: {f"_orig_mod.{name}": weight for name, weight in w.items()},
    "missing": lambda w: {n: x for n, x in w.items() if "layers.1.fc1" not in n},
    "extra": lambda w: {**w, "model.encoder.layers.2.fc1.bias": torch.zeros(64)},
    "reshaped": lambda w: {**w, "model.encoder.layer_norm.bias": torch.zeros(31)},
}


NAMED = {
    "wrapped": "begin with 'module.'",
    "compiled": "begin with '_orig_mod.'",
    "missing": r"layers\.1\.fc1\.weight' is missing",
    "extra": r"layers\.2\.fc1\.bias' is unknown",
    "reshaped": r"layer_norm\.bias' has the shape \(31,\), not \(32,\)",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("format", [*FORMATS, "coreml"])
def test_wrong_tensors_are_named(source, tmp_path, format, change):
    folder = copy(source, tmp_path / "source")
    weights = CHANGES[change](load_file(folder / "model.safetensors"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    load = FORMATS.get(format) or (
        lambda path: make_build(zoo_whisper.coreml, path, tmp_path / "b")
    )
    with pytest.raises(zoo.IntegrityError, match=NAMED[change]):
        load(folder)


def test_names_without_a_prefix_and_shards(source, tmp_path):
    folder = copy(source, tmp_path / "source")
    inner = WhisperForConditionalGeneration.from_pretrained(source).model
    (folder / "model.safetensors").unlink()
    inner.save_pretrained(folder, max_shard_size="3MB")
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    assert len(list(folder.glob("*.safetensors"))) > 1
    for loader in FORMATS.values():
        model = loader(folder)
        require_near(model.logits(noise(model), TOKENS), reference(source, model))


def test_a_processor_of_transformers_5(source, tmp_path):
    folder = copy(source, tmp_path / "source")
    extractor = WhisperFeatureExtractor(chunk_length=2)
    (folder / "preprocessor_config.json").unlink()
    tokenizer = WhisperTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    kept = (folder / "tokenizer.json").read_bytes()
    WhisperProcessor(extractor, tokenizer).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(kept)
    assert not (folder / "preprocessor_config.json").exists()
    assert TorchWhisper(folder).window == 32_000


@pytest.mark.parametrize(
    ("settings", "language", "task"),
    [
        ({"language": "hi", "task": "translate"}, "hi", "translate"),
        ({"language": "<|fr|>"}, "fr", "transcribe"),
        ({"language": "german"}, "de", "transcribe"),
        ({"forced_decoder_ids": [[1, 50260], [2, 50358]]}, "zh", "translate"),
        ({"forced_decoder_ids": [[1, None], [2, 50359]]}, None, "transcribe"),
    ],
)
def test_language_and_task_of_a_fine_tune(source, tmp_path, settings, language, task):
    folder = copy(source, tmp_path / "source")
    edit(folder / "generation_config.json", **settings)
    model = TorchWhisper(folder)
    assert model._asked(zoo.TranscribeOptions()) == (language, task)
    asked = zoo.TranscribeOptions(language="Spanish", task="transcribe")
    assert model._asked(asked) == ("es", "transcribe")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("de", "de"),
        ("German", "de"),
        ("<|ja|>", "ja"),
        ("pt-BR", "pt"),
        ("zh_CN", "zh"),
        ("castilian", "es"),
        ("EN", "en"),
        ("mandarin", "zh"),
    ],
)
def test_languages_by_code_and_by_name(source, given, code):
    assert Vocabulary(source, True).language_code(given) == code


def test_added_tokens_are_text(source, tmp_path):
    folder = copy(source, tmp_path / "source")
    data = json.loads((folder / "tokenizer.json").read_text())
    last = max(token["id"] for token in data["added_tokens"])
    data["added_tokens"].append({**data["added_tokens"][-1], "id": last + 1, "content": " medic"})
    (folder / "tokenizer.json").write_text(json.dumps(data))
    vocabulary = Vocabulary(folder, True)
    assert vocabulary.decode([vocabulary.zero, last + 1, vocabulary.last]) == " medic"
    assert vocabulary.is_time(last)
    assert not vocabulary.is_time(last + 1)


@pytest.fixture(scope="module")
def adapter(source, tmp_path_factory) -> Path:
    """LoRA as PEFT saves it, with both matrices random."""
    torch.manual_seed(7)
    config = LoraConfig(
        r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "fc1"], init_lora_weights=False
    )
    folder = tmp_path_factory.mktemp("adapter") / "accent"
    model = WhisperForConditionalGeneration.from_pretrained(source)
    get_peft_model(model, config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("format", FORMATS)
def test_an_adapter_of_peft_gives_its_logits(source, adapter, format):
    from peft import PeftModel

    model = FORMATS[format](source).add_adapters({"accent": adapter})
    plain = WhisperForConditionalGeneration.from_pretrained(source).eval()
    tuned = PeftModel.from_pretrained(
        WhisperForConditionalGeneration.from_pretrained(source), adapter
    ).eval()
    wanted, before = logits_of(tuned, model), logits_of(plain, model)
    assert float((wanted - before).abs().max()) > 0.1 * float(before.abs().max())
    model.use("accent")
    require_near(model.logits(noise(model), TOKENS), wanted)
    model.use(None)
    require_near(model.logits(noise(model), TOKENS), before)


def test_core_ml_refuses_an_adapter_before_it_converts(source, adapter, tmp_path):
    with pytest.raises(zoo.InputError, match="takes no LoRA adapter") as caught:
        zoo_whisper.coreml.convert(None, None, source, {"accent": adapter}, tmp_path, None)
    assert "merge_and_unload" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
