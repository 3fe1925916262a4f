"""JSON and TOML from outside: whatever they hold, the fault is a `ValueError`."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.files.documents import DEEPEST, parse_json, parse_toml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_json_says_is_read(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@given(st.binary())
def test_bytes_are_json_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        parse_json(data)


@given(st.text())
def test_text_is_toml_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        parse_toml(text)


@pytest.mark.parametrize("depth", [DEEPEST + 1, 5_000, 100_000])
def test_deep_documents_are_refused(depth: int) -> None:
    for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth):
        with pytest.raises(ValueError, match=r"deep|Expecting"):
            parse_json(text)
    for text in (f"a = {'[' * depth}{']' * depth}", f"{'.'.join('a' * depth)} = 1"):
        with pytest.raises(ValueError, match="deep"):
            parse_toml(text)


@pytest.mark.parametrize("number", ["9" * 5_000, "-" + "9" * 400, str(2**63)])
def test_numbers_that_nothing_can_be_are_refused(number: str) -> None:
    with pytest.raises(ValueError, match=r"64 bits|digits"):
        parse_toml(f"a = [{{ b = {number} }}]")
    if len(number) > 4_300:
        with pytest.raises(ValueError, match="digits"):
            parse_json(number)


@pytest.mark.parametrize("half", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_half_of_a_surrogate_pair_is_no_text(half: str) -> None:
    escaped = json.dumps({"title": [half]})
    raw = json.dumps({half: 1}, ensure_ascii=False)
    for text in (escaped, escaped.encode(), raw, raw.encode(errors="surrogatepass")):
        with pytest.raises(ValueError, match="surrogate"):
            parse_json(text)


def test_a_whole_surrogate_pair_is_a_letter() -> None:
    for text in ('["\\ud83d\\ude00", "\\\\ud800"]', b'["\\uD83D\\uDE00", "\\\\ud800"]'):
        assert parse_json(text) == ["😀", "\\ud800"]
