"""Headers of safetensors with a few bytes changed, by the million, the same at every run."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator

from zoo.files.safetensors import parse_header

WORDS = [
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"0", b"-1", b"9" * 30, b"null", b"true", b"1e9",
    b"NaN", b'"a"', b'"F16"', b"\\u0000", b"\xff", b"\x00", b'"dtype"', b'"shape"', b"[[[[",
    b"{}" * 20, b'"data_offsets"', b'"__metadata__"', b"18446744073709551616",
]  # fmt: skip


class Headers:
    """A sound header, and others made from it."""

    def __init__(self) -> None:
        tensors = {
            "__metadata__": {"format": "pt"},
            "model.embed.weight": self._entry("BF16", [8, 4], 0, 64),
            "model.layers.0.q.weight": self._entry("F32", [4, 4], 64, 128),
            "model.norm.weight": self._entry("F32", [4], 128, 144),
        }
        self.text = json.dumps(tensors, separators=(",", ":")).encode()
        self.data = bytes(144)

    def variants(self, count: int, seed: int) -> Iterator[bytes]:
        """Whole files, each with some changes to its header."""
        choose = random.Random(seed)
        for _ in range(count):
            text = bytearray(self.text)
            for _ in range(choose.randrange(1, 4)):
                self._change(text, choose)
            yield struct.pack("<Q", len(text)) + bytes(text) + self.data

    def _change(self, text: bytearray, choose: random.Random) -> None:
        at = choose.randrange(len(text) + 1)
        kind = choose.randrange(6)
        if kind == 0 and at < len(text):
            text[at] ^= 1 << choose.randrange(8)
        elif kind == 1:
            text[at:at] = choose.choice(WORDS)
        elif kind == 2:
            del text[at : at + choose.randrange(1, 12)]
        elif kind == 3:
            end = at + choose.randrange(1, 60)
            text[at:at] = text[at:end]
        elif kind == 4 and at < len(text):
            text[at] = choose.choice(b'0123456789{}[]",:abc ')
        else:
            word = choose.choice(WORDS)
            text[at : at + len(word)] = word

    @staticmethod
    def _entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
        return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


GOOD = Headers()


def mutate(count: int, seed: int) -> tuple[int, int]:
    """Read so many mutated headers; how many there were, and how many were refused.

    Anything but a header or a ValueError goes through to the caller.
    """
    seen = refused = 0
    for data in GOOD.variants(count, seed):
        seen += 1
        try:
            parse_header(data[8 : len(data) - len(GOOD.data)], len(data))
        except ValueError:
            refused += 1
    return seen, refused
