"""Tokens at the edges: what comes before, between and after the words, rule by rule."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

import zoo
from zoo.tasks.text.detokenizer import LETTERS
from zoo.tasks.text.tokenizer import Tokenizer

SPECIAL = ["<unk>", "<s>", "</s>", "[INST]"]
CONFIG = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def pieces(folder: Path, **config: Any) -> Tokenizer:
    """A tokenizer in the shape of Mistral 7B's: `▁` for the blank, and bytes that no piece has."""
    known = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁the", "▁was", *"abehst."]
    vocabulary = {piece: number for number, piece in enumerate(known)}
    made = Backend(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return _saved(made, folder, config)


def letters(folder: Path, **config: Any) -> Tokenizer:
    """A tokenizer of bytes, as tekken's."""
    known = [*SPECIAL, *LETTERS]
    made = Backend(models.BPE({piece: n for n, piece in enumerate(known)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return _saved(made, folder, config)


def _saved(made: Any, folder: Path, config: dict[str, Any]) -> Tokenizer:
    made.add_special_tokens(SPECIAL)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**CONFIG, **config}))
    return Tokenizer(folder)


def streamed(tokenizer: Tokenizer, names: list[str], before: tuple[int, ...] = (9,)) -> str:
    decoder = tokenizer.decoder(before)
    ids = [tokenizer.id_of(name) for name in names]
    return "".join([*(decoder.step(i) for i in ids if i is not None), decoder.finish()])


def test_a_prompt_with_its_own_beginning_gets_no_second_one(tmp_path: Path) -> None:
    tokenizer = pieces(tmp_path)
    assert tokenizer.encode("the")[:1] == [1]
    assert tokenizer.encode("<s>the").count(1) == 1
    assert pieces(tmp_path, add_bos_token=False).encode("the").count(1) == 0


def test_the_end_that_a_tokenizer_adds_is_left_out(tmp_path: Path) -> None:
    tokenizer = pieces(tmp_path)
    tokenizer.backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    ids = tokenizer.encode("the")
    assert (ids[0], 2 in ids) == (1, False)


def test_the_blank_before_a_continuation_is_kept_and_an_answer_has_none(tmp_path: Path) -> None:
    tokenizer = pieces(tmp_path)
    assert streamed(tokenizer, ["▁the", "▁was"]) == " the was"
    assert streamed(tokenizer, ["▁the", "▁was"], (3,)) == "the was"


def test_bytes_that_are_no_character_become_one_replacement(tmp_path: Path) -> None:
    names = ["<0xC3>", "<0xBC>", "<0xE2>", "▁was", "<0xF0>"]
    assert streamed(pieces(tmp_path), names) == "ü\ufffd was\ufffd"


def test_marks_of_bytes_are_read_whatever_the_decoder_is(tmp_path: Path) -> None:
    plain = letters(tmp_path)
    ids = plain.encode(" grün 狐\n")
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    data["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    assert Tokenizer(tmp_path).decode(ids) == " grün 狐\n" == plain.decode(ids)


@pytest.fixture(scope="module")
def of_bytes(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return letters(tmp_path_factory.mktemp("letters"))


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_streams_as_it_was(of_bytes: Tokenizer, text: str) -> None:
    assert of_bytes.decode(of_bytes.encode(text)) == text


@given(ids=st.lists(st.integers(0, 259)))
def test_any_tokens_are_text(of_bytes: Tokenizer, ids: list[int]) -> None:
    decoder = of_bytes.decoder()
    text = "".join([*map(decoder.step, ids), decoder.finish()])
    bytes_of = b"".join(LETTERS[list(LETTERS)[i - 4]] for i in ids if i >= 4)
    assert text == bytes_of.decode(errors="replace")


def test_special_tokens_among_the_stop_texts_end_a_text(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 7]}')
    tokenizer = pieces(tmp_path)
    assert tokenizer.ends(["[INST]", "."]) == {2, 3, 7}


def test_damaged_settings_are_one_sentence(tmp_path: Path) -> None:
    pieces(tmp_path)
    (tmp_path / "generation_config.json").write_text("{")
    with pytest.raises(zoo.IntegrityError, match=r"generation_config\.json cannot be read"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": {"type": "NotYetKnown"}},
        {"model": 3},
        {"model": {"type": "BPE", "vocab": {}, "merges": [["x"]]}},
        {"added_tokens": [{"id": 2**64, "content": "<x>", "special": True}]},
    ],
)
def test_a_tokenizer_of_another_version_is_one_sentence(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    pieces(tmp_path)
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**data, **change}))
    with pytest.raises(zoo.InputError, match=r"tokenizer in .* cannot be read") as caught:
        Tokenizer(tmp_path)
    assert "newer version" in (caught.value.hint or "")


def test_a_normalizer_cannot_fill_the_memory(tmp_path: Path) -> None:
    tokenizer = pieces(tmp_path)
    bomb = normalizers.Sequence([normalizers.Replace("a", "a" * 100)] * 8)
    tokenizer.backend.normalizer = bomb
    with pytest.raises(zoo.InputError, match="would make a text of"):
        tokenizer.encode("a" * 20)


def test_a_regex_that_never_ends_is_one_sentence(tmp_path: Path) -> None:
    tokenizer = pieces(tmp_path)
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"}
    data = json.loads(tokenizer.backend.to_str()) | {"pre_tokenizer": {**split, "invert": False}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(zoo.InputError, match="does not encode the text"):
        Tokenizer(tmp_path).encode("a" * 40 + "!")


def test_tekkens_own_rule_of_splitting_goes_first(tmp_path: Path) -> None:
    tokenizer = letters(tmp_path)
    split = {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": False}
    data = json.loads(tokenizer.backend.to_str())
    parts = [split, data["pre_tokenizer"]]
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": parts}
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    (tmp_path / "tekken.json").write_text(json.dumps({"config": {"pattern": r"\d"}}))
    text = Tokenizer(tmp_path).backend.pre_tokenizer.pre_tokenize_str("a1b")
    assert [piece for piece, _ in text] == ["a", "1", "b"]


ASK = [{"role": "user", "content": "hi"}]


def templated(folder: Path, template: Any) -> Tokenizer:
    return letters(folder, chat_template=template)


def test_the_only_template_is_taken_and_of_several_the_default(tmp_path: Path) -> None:
    one = {"name": "chatml", "template": "{{ bos_token }}{{ messages[0].content }}"}
    assert templated(tmp_path, [one]).render(ASK) == letters(tmp_path).encode("hi")
    with pytest.raises(zoo.InputError, match="'chatml', 'tool_use'"):
        templated(tmp_path, [one, {"name": "tool_use", "template": "x"}]).render(ASK)
    (tmp_path / "chat_template.jinja").write_text("[INST]")
    assert templated(tmp_path, [one]).render(ASK)[0] == 3


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ 1/0 }}", "ZeroDivisionError"),
        ("{{ raise_exception('no\\nsystem turn') }}", "messages: no system turn"),
        ("{% if %}", "cannot be read"),
        ("", "returns no text|no chat template"),
        ("{# nothing #}", "returns no text"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError|refuses"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself too often"),
        ("{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}"
         "{% endfor %}{{ n.x }}", "memory|characters"),
    ],
)  # fmt: skip
def test_a_bad_template_is_one_sentence(tmp_path: Path, template: str, words: str) -> None:
    with pytest.raises(zoo.InputError, match=words) as caught:
        templated(tmp_path, template).render(ASK)
    assert "\n" not in caught.value.message


def test_a_template_has_what_transformers_offers(tmp_path: Path) -> None:
    text = (
        "{%- for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}"
        "{% generation %}{{ m.content | tojson }}{% endgeneration %}{% endfor %}"
        "{{ strftime_now('%Y')[:1] }}{{ tools is defined }}"
    )
    tokenizer = templated(tmp_path, text)
    assert tokenizer.decode(tokenizer.render([*ASK, *ASK])) == '"hi"2False'


def helpers() -> set[int]:
    """The processes that this one has started and not ended."""
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "render.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {int(pid) for pid in found.stdout.split()}


def test_the_first_chat_finds_its_process_waiting_and_none_is_left(tmp_path: Path) -> None:
    tokenizer = templated(tmp_path, "{{ messages[0].content }}")
    assert not helpers()
    tokenizer.template.prepare()
    tokenizer.template.prepare()
    (waiting,) = helpers()
    assert tokenizer.render(ASK) == tokenizer.render(ASK)
    assert not helpers()
    tokenizer.template.prepare()
    (unused,) = helpers()
    assert unused != waiting
    del tokenizer
    gc.collect()
    assert not helpers()


def test_a_process_that_died_while_it_waited_is_replaced(tmp_path: Path) -> None:
    tokenizer = templated(tmp_path, "{{ messages[0].content }}")
    wanted = tokenizer.render(ASK)
    tokenizer.template.prepare()
    (waiting,) = helpers()
    os.kill(waiting, signal.SIGKILL)
    os.waitid(os.P_PID, waiting, os.WEXITED | os.WNOWAIT)
    assert tokenizer.render(ASK) == wanted
