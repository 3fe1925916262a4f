"""The header of safetensors: what breaks the format is refused before any library sees it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from faults.mutations import GOOD, mutate

from zoo.errors import IntegrityError
from zoo.files import safetensors
from zoo.files.safetensors import LARGEST_HEADER, MOST_VALUES, parse_header, read_header


def entry(dtype: Any = "U8", shape: Any = (4,), offsets: Any = (0, 4), **more: Any) -> Any:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def text(**tensors: Any) -> bytes:
    return json.dumps(tensors).encode()


OPEN, CLOSE = b'{"a":', b"}"
ONE = json.dumps(entry()).encode()
CRAFTED: list[tuple[bytes, int, str]] = [
    # (header, bytes of tensors, what is said)
    (b"", 0, "begin"), (b" {}", 0, "begin"), (b"[]", 0, "begin"), (b'"a"', 0, "begin"),
    (b"{", 0, ""), (b"{}}", 0, ""), (b"{},", 0, ""), (b'{"a"}', 0, ""), (b"\xff\xfe{}", 0, ""),
    (b'{"\xff": 1}', 4, ""), (b"{" * 100_000, 0, ""), (b'{"a":' + b"[" * 100_000, 0, ""),
    (text(a=1), 4, "needs"), (text(a=[]), 4, "needs"), (text(a=None), 4, "needs"),
    (text(a={}), 4, "needs"), (text(a=entry(more=1)), 4, "needs"),
    (text(a={"dtype": "U8", "shape": [4]}), 4, "needs"),
    (text(a=entry(dtype="O")), 4, "unknown type"), (text(a=entry(dtype="u8")), 4, "unknown type"),
    (text(a=entry(dtype=8)), 4, "unknown type"), (text(a=entry(dtype=["U8"])), 4, "unknown type"),
    (text(a=entry(shape=[-4])), 4, "shape"), (text(a=entry(shape=[4.0])), 4, "shape"),
    (text(a=entry(shape=[True, 4])), 4, "shape"), (text(a=entry(shape=["4"])), 4, "shape"),
    (text(a=entry(shape=[[4]])), 4, "shape"), (text(a=entry(shape=[1] * 65)), 4, "shape"),
    (text(a=entry(shape=[2**63])), 4, "shape"), (text(a=entry(shape=[2**62, 4])), 4, "too large"),
    (text(a=entry(shape=[2**32, 2**32])), 4, "too large"), (text(a=entry(shape=[5])), 4, "needs 5"),
    (text(a=entry(shape=[3])), 4, "needs 3"), (text(a=entry(shape=[])), 4, "needs 1"),
    (text(a=entry(shape=[0])), 4, "needs 0"), (text(a=entry(dtype="F16", shape=[4])), 4, "needs 8"),
    (text(a=entry(dtype="F4", shape=[3], offsets=[0, 1])), 1, "needs 1.5"),
    (OPEN + b'{"dtype":"U8","shape":{"0":4},"data_offsets":[0,4]}' + CLOSE, 4, "shape"),
    (text(a=entry(offsets=[0])), 4, "data_offsets"), (text(a=entry(offsets=[0, 4, 8])), 4, "data_"),
    (text(a=entry(offsets=[4, 0])), 4, "data_offsets"), (text(a=entry(offsets=[-1, 3])), 4, "data_"),
    (text(a=entry(offsets=[0.0, 4.0])), 4, "data_offsets"),
    (text(a=entry(offsets=[0, 2**64])), 4, "data_offsets"),
    (text(a=entry(offsets=[1, 5])), 5, "gap"), (text(a=entry(offsets=[4, 8])), 8, "gap"),
    (text(a=entry(), b=entry(offsets=[5, 9])), 9, "gap"),
    (text(a=entry(), b=entry(offsets=[3, 7])), 7, "overlaps"),
    (text(a=entry(), b=entry()), 4, "overlaps"),
    (text(a=entry()), 5, "end at"), (text(a=entry()), 3, "end at"), (text(), 1, "end at"),
    (b'{"a":' + ONE + b',"a":' + ONE + b"}", 4, "twice"),
    (b'{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', 4, "twice"),
    (b'{"__metadata__":{},"__metadata__":{}}', 0, "twice"),
    (text(__metadata__=1), 0, "__metadata__"), (text(__metadata__={"a": 1}), 0, "__metadata__"),
    (text(__metadata__={"a": {"b": "c"}}), 0, "__metadata__"),
    (b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}', 4, "NaN"),
    (b'{"a":{"dtype":"U8","shape":[Infinity],"data_offsets":[0,4]}}', 4, "Infinity"),
    (b'{"a":{"dtype":"U8","shape":[1e1],"data_offsets":[0,10]}}', 10, "shape"),
    (b'{"a":{"dtype":"U8","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', 4, ""),
    (b"{" + b",".join(b'"%d":{}' % n for n in range(MOST_VALUES // 2 + 1)) + b"}", 0, "values"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CRAFTED)))
def test_a_crafted_header_is_refused(tmp_path: Path, case: int) -> None:
    header, size, said = CRAFTED[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    with pytest.raises(IntegrityError, match="is not a valid safetensors file") as caught:
        read_header(path)
    assert said in caught.value.message
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "too few"),
        (b"\x01" * 7, "too few"),
        (b"\xff" * 8, "more than the file has"),
        (struct.pack("<Q", 3) + b"{}", "more than the file has"),
        (struct.pack("<Q", 2**63) + b"{}", "more than the file has"),
    ],
)
def test_a_length_that_cannot_be(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=said):
        read_header(path)


def test_a_header_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", LARGEST_HEADER + 1))
        file.truncate(LARGEST_HEADER + 100)
    with pytest.raises(IntegrityError, match=f"over {LARGEST_HEADER}"):
        read_header(path)


def test_there_are_sixty_crafted_headers() -> None:
    assert len(CRAFTED) >= 60


def test_what_other_libraries_write_is_read(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    path = tmp_path / "model.safetensors"
    arrays = {"a": np.zeros((2, 3), np.float32), "é b": np.zeros((0, 7), np.int8), "c": np.ones(())}
    save_file(arrays, path, metadata={"format": "np"})
    header = read_header(path)
    assert header.metadata == {"format": "np"}
    assert {n: t.shape for n, t in header.tensors.items()} == {
        "a": (2, 3), "é b": (0, 7), "c": (),
    }  # fmt: skip


def test_mutated_headers_never_crash() -> None:
    count, refused = mutate(20_000, seed=1)
    assert count == 20_000
    assert 0 < refused < count


def test_what_we_take_the_library_takes_too() -> None:
    """We may refuse more than the library, never less: it would see what we did not expect."""
    from safetensors import SafetensorError, deserialize

    taken = 0
    for data in GOOD.variants(4_000, seed=2):
        try:
            (length,) = struct.unpack("<Q", data[:8])
            parse_header(data[8 : 8 + length], len(data))
        except ValueError:
            continue
        taken += 1
        try:
            deserialize(data)
        except SafetensorError as error:
            raise AssertionError(f"the library refuses {data[:200]!r}: {error}") from error
    assert taken > 50
    assert safetensors.MOST_VALUES > 1_000_000
