"""The table of embeddings of a build for the Neural Engine, which cannot gather rows.

It is a safetensors file beside the packages. `weight`, float16 (vocabulary, width), has the rows as
they are; or `data`, int8 of that shape, has them divided by the entries of `scale`, float16
(vocabulary, 1). An app maps the file and reads a row for each token.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.safetensors import read_header
from zoo.formats.coreml.compress.encoding import Array, Scheme, encode, parts
from zoo.formats.tensors import Tensors

TABLE_FILE = "embeddings.safetensors"

BLOCK = 1 << 22
"""Numbers that are in memory at once while a table is written."""

TYPES = {"fp16": "F16", "int8": "I8"}
NUMPY = {"F16": "<f2", "I8": "i1"}
NAMES = {"": "weight"}


def write_table(path: Path, source: Tensors, name: str, scheme: Scheme) -> None:
    """Write the tensor `name` as a table, some rows at a time.

    Args:
        path: of the file.
        source: the checkpoint.
        name: of the embedding.
        scheme: float16, or integers with a scale for each row.

    Raises:
        IntegrityError: a value does not fit float16.
    """
    import numpy as np

    shape = source.shapes[name]
    stored = parts(scheme, shape)
    header, end = {}, 0
    for key, array in stored.items():
        start, end = end, end + array.bits // 8
        header[NAMES.get(key, key)] = {
            "dtype": TYPES[array.dtype],
            "shape": array.shape,
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    first, *others = stored
    later: dict[str, list[Any]] = {key: [] for key in others}
    step = max(1, BLOCK // prod(shape[1:]))
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, shape[0], step):
            rows = source.read_rows(name, start, min(start + step, shape[0]))
            made = encode(rows, scheme, name=name)
            file.write(_bytes(made.pop(first), stored[first]))
            for key, array in made.items():
                later[key].append(array)
        for key, arrays in later.items():
            file.write(_bytes(np.concatenate(arrays), stored[key]))


def _bytes(array: Any, stored: Array) -> bytes:
    raw: bytes = array.astype(NUMPY[TYPES[stored.dtype]]).tobytes()
    return raw


class Table:
    """A table of embeddings, whose rows are read when they are asked for.

    Args:
        path: of the file.
        shape: that it must have.

    Raises:
        IntegrityError: it is damaged, or of another shape.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        import numpy as np

        if not path.is_file():
            raise IntegrityError(f"{path} is missing")
        found = read_header(path).tensors
        wanted = (
            {"weight": ("F16", shape)}
            if "weight" in found
            else {"data": ("I8", shape), "scale": ("F16", (shape[0], 1))}
        )
        if {name: (entry.dtype, entry.shape) for name, entry in found.items()} != wanted:
            raise IntegrityError(f"{path} is not a table of {shape[0]} embeddings of {shape[1]}")
        self._parts: dict[str, Any] = {
            name: np.memmap(path, NUMPY[entry.dtype], "r", entry.start, entry.shape)
            for name, entry in found.items()
        }

    def rows(self, tokens: Sequence[int]) -> Any:
        """The embeddings of some tokens, float16 of shape (tokens, width)."""
        import numpy as np

        if "weight" in self._parts:
            return np.asarray(self._parts["weight"][list(tokens)])
        data, scale = (self._parts[name][list(tokens)] for name in ("data", "scale"))
        return data.astype(np.float16) * scale
