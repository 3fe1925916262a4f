"""The header of a safetensors file, validated before any library sees the file.

The format (https://huggingface.co/docs/safetensors/index#format) is a length of 8 bytes, a JSON
object, and the tensors' bytes. Everything that it promises is checked here: that the tensors fill
the rest of the file without holes or overlap, that no name comes twice, and that each tensor has
the bytes of its type and shape. Memory stays within a small multiple of the header's own size.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.safe_folder import open_regular

LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the `safetensors` package itself."""

MOST_VALUES = 2_000_000
"""Commas and brackets; the largest models have some hundred thousand. It bounds the memory."""

LARGEST_SIZE = 2**63 - 1
MOST_DIMENSIONS = 64

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip
"""Bits of one element, by the name of its type."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: its type, its shape, and where its bytes are in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a header says: the tensors by name, and the file's own notes."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """The header of the file at `path`.

    Raises:
        IntegrityError: the file breaks the format, with the first thing that is wrong.
    """
    try:
        size = path.stat().st_size
        with BufferedReader(open_regular(path)) as file:
            start = file.read(8)
            if len(start) < 8:
                raise ValueError(f"it has {len(start)} bytes, too few for a header")
            (length,) = struct.unpack("<Q", start)
            if length > size - 8:
                raise ValueError(f"its header claims {length} bytes, more than the file has")
            if length > LARGEST_HEADER:
                raise ValueError(f"its header claims {length} bytes, over {LARGEST_HEADER}")
            return parse_header(file.read(length), size)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} is not a valid safetensors file: {error}") from error


def parse_header(text: bytes, size: int) -> Header:
    """The header whose JSON is `text`, of a file of `size` bytes in all.

    Raises:
        ValueError: what breaks the format.
    """
    if not text.startswith(b"{"):
        raise ValueError("its header does not begin with '{'")
    if text.count(b",") + text.count(b"{") + text.count(b"[") > MOST_VALUES:
        raise ValueError(f"its header has over {MOST_VALUES:,} values")
    try:
        header = json.loads(
            text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError("its header is nested too deep") from None
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its '__metadata__' is not a table of strings")
    first = 8 + len(text)
    tensors = {name: _tensor(name, entry, first) for name, entry in header.items()}
    at = first
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != at:
            kind = "overlaps another" if tensor.start < at else "follows a gap"
            raise ValueError(f"'{_short(name)}' {kind}: it begins at {tensor.start}, not at {at}")
        at = tensor.end
    if at != size:
        raise ValueError(f"its tensors end at {at}, and the file at {size}")
    return Header(tensors, metadata)


def _tensor(name: str, entry: Any, first: int) -> Tensor:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"'{_short(name)}' needs dtype, shape and data_offsets, and nothing else")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ValueError(f"'{_short(name)}' is of the unknown type {_short(str(dtype))}")
    if not _counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"the shape of '{_short(name)}' is not a list of sizes")
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"the data_offsets of '{_short(name)}' are not a start and an end")
    elements = 1
    for size in shape:
        elements *= size
        if elements > LARGEST_SIZE:
            raise ValueError(f"the shape of '{_short(name)}' is too large")
    bits = elements * BITS[dtype]
    if bits % 8 or offsets[1] - offsets[0] != bits // 8:
        raise ValueError(
            f"'{_short(name)}' has {offsets[1] - offsets[0]} bytes, "
            f"and its shape needs {bits / 8:g}"
        )
    return Tensor(dtype, tuple(shape), first + offsets[0], first + offsets[1])


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item <= LARGEST_SIZE for item in value
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = sorted(name for name, _ in pairs)
        twice = next(a for a, b in pairwise(names) if a == b)
        raise ValueError(f"'{_short(twice)}' comes twice")
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"its header has the value {name}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
