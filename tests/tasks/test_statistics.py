"""What a generation took, and several prompts at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from zoo.errors import InputError
from zoo.tasks.text.model import TextModel
from zoo.tasks.text.options import Sampling

END = 0


class Decoder:
    def step(self, token: int) -> str:
        return chr(96 + token)

    def finish(self) -> str:
        return ""


class Letters:
    """A tokenizer of letters: a is 1, b is 2."""

    has_chat_template = False

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 96 for letter in text]

    def decoder(self, prompt: list[int]) -> Decoder:
        return Decoder()

    def ends(self, stop: Sequence[str]) -> set[int]:
        return {END}


class Alphabet(TextModel):
    """Goes on with the alphabet, and ends after e."""

    def tokens(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        for token in range(prompt[-1] + 1, 27):
            yield token if token <= 5 else END

    def logits(self, tokens: Sequence[int]) -> Any:
        raise NotImplementedError


@pytest.fixture
def model() -> Alphabet:
    return Alphabet(Letters(), context=None)  # type: ignore[arg-type]


def test_a_generation_says_what_it_took_and_why_it_ended(model: Alphabet) -> None:
    assert model.last is None
    assert model.generate("ab") == "cde"
    assert model.last is not None
    assert (model.last.prompt_tokens, model.last.tokens, model.last.finish_reason) == (2, 3, "stop")
    assert model.generate("ab", max_tokens=2) == "cd"
    assert (model.last.tokens, model.last.finish_reason) == (2, "length")
    assert model.generate("ab", max_tokens=3) == "cde"
    assert model.last.finish_reason == "length"
    assert model.generate("a", stop=("d",)) == "bc"
    assert model.last.finish_reason == "stop"
    data = json.loads(json.dumps(model.last.to_dict()))
    assert data["tokens_per_second"] > 0
    assert data["seconds"] >= data["first_seconds"] >= 0


def test_a_stream_that_is_left_has_no_result(model: Alphabet) -> None:
    model.generate("a")
    stream = model.stream("a")
    next(stream)
    del stream
    assert model.last is None


def test_several_prompts(model: Alphabet) -> None:
    assert model.generate_many(["a", "cd"], max_tokens=2) == ["bc", "e"]
    with pytest.raises(InputError, match="must be text, not int"):
        model.generate_many(["a", 7])  # type: ignore[list-item]
    with pytest.raises(InputError, match="list of strings"):
        model.generate_many("ab")
