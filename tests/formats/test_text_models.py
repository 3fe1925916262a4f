"""Text models on small random checkpoints: the same in every format, and strict about input."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, MistralForCausalLM

import zoo
from zoo.formats.mlx.plugin import optimize
from zoo.formats.mlx.text import MLXTextModel
from zoo.progress import Progress
from zoo.tasks.text.tokenizer import Tokenizer, until
from zoo_mistral import mlx as mistral_mlx
from zoo_mistral.config import for_mlx, read_mistral_config
from zoo_mistral.torch import MistralTextModel

MINI = Path(__file__).parents[2] / "recipes" / "mistral" / "mini"


def make(folder: Path, **changes) -> Path:
    """A random Mistral with clear choices, saved by transformers, with the miniature's tokenizer."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(MINI)
    options = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "sliding_window": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        "initializer_range": 0.3,
        "eos_token_id": 2,
        **changes,
    }
    MistralForCausalLM(MistralConfig(**options)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def convert(source: Path, workdir: Path) -> Path:
    workdir.mkdir()
    return mistral_mlx.convert(source, workdir)


def first(model: zoo.TextModel, prompt: list[int], count: int) -> list[int]:
    tokens = model.tokens(prompt, zoo.Sampling(max_tokens=count))
    return [token for token, _ in zip(tokens, range(count), strict=False)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("plain") / "source")


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    folder = convert(MINI, tmp_path_factory.mktemp("mini") / "mlx")
    with MLXTextModel.load(folder, context=1024) as model:
        yield model


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sliding_window": 16},
        {"tie_word_embeddings": True},
        {"head_dim": 64},
        {"num_key_value_heads": 4},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5}},
    ],
    ids=["plain", "sliding", "tied", "head_dim", "multi-head", "scaled-rope"],
)
def test_every_format_agrees_with_transformers(tmp_path, changes):
    source = make(tmp_path / "source", **changes)
    prompt = list(range(20, 70))
    reference = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with torch.inference_mode():
        wanted = reference(torch.tensor([prompt])).logits[0].numpy()
        ids = torch.tensor([prompt])
        greedy = reference.generate(ids, max_new_tokens=20, do_sample=False, eos_token_id=None)
    expected = greedy[0, len(prompt) :].tolist()
    with MistralTextModel.load(source, context=256) as model:
        np.testing.assert_allclose(model.logits(prompt), wanted, atol=2e-4)
        assert first(model, prompt, 20) == expected
    with MLXTextModel.load(convert(source, tmp_path / "mlx"), context=256) as model:
        np.testing.assert_allclose(model.logits(prompt), wanted, atol=2e-3)
        assert first(model, prompt, 20) == expected


@pytest.mark.parametrize("module", ["zoo.formats.torch.text", "zoo.formats.mlx.text"])
def test_chunks_do_not_change_the_logits(plain, tmp_path, monkeypatch, module):
    kind = MistralTextModel if "torch" in module else MLXTextModel
    folder = plain if "torch" in module else convert(plain, tmp_path / "mlx")
    tokens = list(range(10, 60))
    with kind.load(folder, context=256) as model:
        whole = model.logits(tokens)
        monkeypatch.setattr(f"{module}.CHUNK", 7)
        np.testing.assert_allclose(model.logits(tokens), whole, atol=1e-3)


@pytest.mark.parametrize("options", [{"bits": 4, "group_size": 64}, {"mix": "mixed_3_6"}])
def test_quantized_weights_are_those_of_mlx_lm(plain, tmp_path, options):
    from mlx_lm.convert import convert as direct

    converted = convert(plain, tmp_path / "mlx")
    build = zoo.Build("mlx", (zoo.Optimization("quantize", options),))
    ours = tmp_path / "ours"
    ours.mkdir()
    optimize(mine(), build, converted, ours, Progress("optimize"))
    direct(
        str(converted),
        str(tmp_path / "direct"),
        quantize=True,
        q_bits=options.get("bits"),
        q_group_size=64,
        quant_predicate=options.get("mix"),
    )
    expected = mx.load(str(tmp_path / "direct" / "model.safetensors"))
    found = mx.load(str(ours / "model.safetensors"))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert mx.array_equal(found[name], array), name
    with MLXTextModel.load(ours, context=256) as model:
        assert np.isfinite(model.logits([1, 2, 3])).all()


def mine() -> zoo.Recipe:
    from zoo.catalogs.catalog import open_catalog

    return open_catalog().resolve("mistral:mini")[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bits": 7}, "bits: must be one of"),
        ({"bits": "4"}, "bits: must be an integer"),
        ({"group_size": 48}, "group_size: must be one of"),
        ({"mode": "afine"}, "did you mean 'affine'"),
        ({"mix": "mixed_9_9"}, "mix: must be one of"),
        ({"mix": "mixed_4_6", "bits": 4}, "bits: cannot be given together with 'mix'"),
        ({"mix": "mixed_4_6", "mode": "mxfp4"}, "mix: goes with the mode 'affine'"),
    ],
)
def test_a_wrong_quantization_is_refused(tmp_path, options, words):
    build = zoo.Build("mlx", (zoo.Optimization("quantize", options),))
    with pytest.raises(zoo.RecipeError, match=words):
        optimize(mine(), build, tmp_path, tmp_path, Progress("optimize"))


@pytest.mark.parametrize("layers", [3, 4])
def test_layers_that_cannot_be_quantized_are_named(tmp_path, layers):
    source = make(tmp_path / "source", intermediate_size=200, num_hidden_layers=layers)
    target = tmp_path / "q"
    target.mkdir()
    notes = []
    build = zoo.Build("mlx", (zoo.Optimization("quantize", {"bits": 4, "group_size": 64}),))
    progress = Progress("optimize", lambda event: notes.append(event.message))
    optimize(mine(), build, convert(source, tmp_path / "mlx"), target, progress)
    (note,) = (note for note in notes if "not quantized" in note)
    assert "group size 64: model.layers.0.mlp.down_proj" in note
    assert note.endswith("model.layers.2.mlp.down_proj" + " and 1 more" * (layers - 3))


def test_the_config_for_mlx_says_what_mlx_would_guess_wrong(plain):
    config = for_mlx(read_mistral_config(plain))
    assert config["rope_theta"] == 1e6
    assert config["tie_word_embeddings"] is False
    assert "layer_types" not in config


def change(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    for key, value in values.items():
        config[key] = value
        if value is None:
            del config[key]
    (folder / "config.json").write_text(json.dumps(config))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: change(f, auto_map={"AutoModel": "x.Y"}), "auto_map"),
        (lambda f: change(f, model_file="x.py"), "model_file"),
        (lambda f: change(f, model_type="llama"), "its model_type is 'llama', not 'mistral'"),
        (lambda f: change(f, hidden_size=None), "lacks hidden_size"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "config.json").unlink(), "cannot be read"),
        (pickled, "only pickled weights"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    ],
)
def test_a_bad_checkpoint_is_refused(plain, tmp_path, edit, words):
    source = shutil.copytree(plain, tmp_path / "source")
    edit(source)
    with pytest.raises(zoo.IntegrityError, match=words):
        convert(source, tmp_path / "mlx")
    with pytest.raises(zoo.IntegrityError, match=words):
        read_mistral_config(source)


def test_a_stored_file_is_not_the_users_own(tmp_path):
    source = make(tmp_path / "source")
    converted = convert(source, tmp_path / "mlx")
    before = (converted / "model.safetensors").read_bytes()
    with (source / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"oops")
    assert (converted / "model.safetensors").read_bytes() == before


def test_pieces_join_to_the_whole(mini):
    pieces = list(mini.stream("Once upon a time", max_tokens=40))
    assert len(pieces) > 10
    assert "".join(pieces) == mini.generate("Once upon a time", max_tokens=40)


def test_characters_of_several_tokens_come_whole():
    tokenizer = Tokenizer(MINI)
    text = "Grüße, 狐狸 and 🦊!"
    decoder = tokenizer.decoder()
    pieces = [piece for token in tokenizer.encode(text) if (piece := decoder.step(token))]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_stop_text_is_found_wherever_it_is_cut(cut):
    text = "one two STOP three"
    pieces = [text[i : i + cut] for i in range(0, len(text), cut)]
    assert "".join(until(("STOP",), iter(pieces))) == "one two "
    assert "".join(until(("STOPPED",), iter(pieces))) == text
    assert "".join(until(("three", "two"), iter(pieces))) == "one "


def test_generation_ends_at_a_stop_text(mini):
    whole = mini.generate("Once upon a time", max_tokens=60)
    assert ". " in whole
    assert mini.generate("Once upon a time", stop=".", max_tokens=60) == whole[: whole.index(".")]


def test_sampling_repeats_with_a_seed_and_is_greedy_at_its_limits(mini):
    hot = {"temperature": 1.5, "max_tokens": 40}
    greedy = mini.generate("Once upon a time", max_tokens=40)
    assert mini.generate("Once upon a time", seed=3, **hot) == mini.generate(
        "Once upon a time", seed=3, **hot
    )
    assert mini.generate("Once upon a time", seed=3, **hot) != greedy
    assert mini.generate("Once upon a time", seed=3, top_k=1, **hot) == greedy


def test_torch_samples_by_the_same_options():
    with MistralTextModel.load(MINI, context=1024) as model:
        hot = {"temperature": 1.5, "max_tokens": 20}
        greedy = model.generate("Once upon a time", max_tokens=20)
        seeded = [model.generate("Once upon a time", seed=5, **hot) for _ in range(2)]
        assert seeded[0] == seeded[1] != greedy
        for limits in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):
            assert model.generate("Once upon a time", seed=5, **hot, **limits) == greedy


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1}, "temperature must be at least 0, not -1"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1"),
        ({"top_k": -1}, "top_k must be at least 0"),
        ({"min_p": 2}, "min_p must be from 0 to 1"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"stop": [""]}, r"stop\[0\] must be text that is not empty"),
        ({"temprature": 1}, "unknown option 'temprature', did you mean 'temperature'"),
    ],
)
def test_a_wrong_option_is_refused_before_the_first_piece(mini, options, words):
    with pytest.raises(zoo.InputError, match=words):
        mini.stream("hello", **options)


def test_prompts_that_do_not_work_are_refused_before_the_first_piece(mini):
    with pytest.raises(zoo.InputError, match="the prompt is empty"):
        mini.stream("")
    with pytest.raises(zoo.InputError, match="must be text, not int"):
        mini.stream(3)
    with pytest.raises(zoo.InputError, match=r"has \d+ tokens, and .* takes at most 1023"):
        mini.stream("word " * 3000)
    with pytest.raises(zoo.InputError, match="no messages"):
        mini.chat([])
    with pytest.raises(zoo.InputError, match="roles must alternate"):
        mini.chat([{"role": "assistant", "content": "hi"}])


def test_the_answer_ends_where_the_context_does(plain, tmp_path):
    with MLXTextModel.load(convert(plain, tmp_path / "mlx"), context=30) as model:
        prompt = model.tokenizer.decode(range(40, 60))
        length = model.count_tokens(prompt)
        written = list(model.tokens(model.encode(prompt), zoo.Sampling(max_tokens=30 - length)))
        assert model.generate(prompt, max_tokens=500)
        assert len(written) == 30 - length


def test_a_chat_goes_through_the_template(mini):
    turns = [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello! How can I help you?"},
        {"role": "user", "content": "What color is the sky?"},
    ]
    text = mini.tokenizer.decode(mini.tokenizer.render(turns))
    assert "What color is the sky?" in text
    assert mini.tokenizer.render(turns).count(1) == 1
    assert mini.chat(turns) == mini.chat(turns)
    assert mini.generate("Hello!", chat=True) == mini.chat("Hello!")


def test_a_folder_whose_tokenizer_has_a_template_is_chatted_with(tmp_path, capsys):
    from zoo.cli.app import run

    own = shutil.copytree(MINI, tmp_path / "own")
    asked = ["run", str(own), "Hello!", "--format", "torch", "--max-tokens", "8", "--no-check"]
    answers = {}
    for flag in ("", "--chat", "--raw"):
        assert int(run([*asked, *filter(None, [flag])])) == 0
        answers[flag], told = capsys.readouterr()
        assert ("has a chat template" in told) == (flag == "")
    assert answers[""] == answers["--chat"] != answers["--raw"]


def test_a_model_without_a_template_says_so(plain, tmp_path):
    source = shutil.copytree(plain, tmp_path / "source")
    (source / "chat_template.jinja").unlink(missing_ok=True)
    model = MistralTextModel.load(source, context=256)
    with pytest.raises(zoo.InputError, match="no chat template"):
        model.chat("hello")


def test_a_folder_without_a_tokenizer_says_so(plain, tmp_path):
    source = shutil.copytree(plain, tmp_path / "source")
    (source / "tokenizer.json").unlink()
    with pytest.raises(zoo.NotFound, match="has no tokenizer"):
        MistralTextModel.load(source, context=256)


def test_a_closed_model_says_so(plain):
    model = MistralTextModel.load(plain, context=256)
    model.close()
    model.close()
    with pytest.raises(zoo.InputError, match="is closed"):
        model.generate("hello")


def test_a_stream_may_be_left_early(mini):
    stream = mini.stream("Once upon a time")
    next(stream)
    stream.close()
    assert mini.generate("Once upon a time", max_tokens=5)
