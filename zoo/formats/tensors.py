"""Read safetensors one tensor at a time, so that no more than one is ever in memory.

The `safetensors` package maps whole files, whose pages then count as memory of the process, and
its NumPy side does not know bfloat16. The format is a JSON header and plain bytes
(https://huggingface.co/docs/safetensors/index#format), read here without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.safetensors import read_header
from zoo.formats.checkpoint import weight_files

NAMED_FAULTS = 4
CHUNK = 1 << 22
"""Elements that are read at once."""

_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class _Entry:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Tensors:
    """The floating-point tensors of safetensors, by name: those of a folder, or the `files` alone.

    Which files of a folder are the checkpoint is decided by `zoo.formats.checkpoint`.

    Raises:
        IntegrityError: there are none, or a header is damaged.
    """

    def __init__(self, folder: Path, files: list[Path] | None = None) -> None:
        self.folder = folder
        self.files = list(files or weight_files(folder))
        """The files that the tensors are in."""
        self._entries: dict[str, _Entry] = {}
        for path in self.files:
            self._entries.update(_read_header(path))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def read(self, name: str) -> Any:
        """The tensor `name`, in float32 whatever it is stored as.

        Raises:
            IntegrityError: it is cut short, or holds values that are no finite numbers.
        """
        import numpy as np

        entry = self._entries[name]
        array: Any = np.empty(prod(entry.shape), np.float32)
        with entry.path.open("rb") as file:
            file.seek(entry.offset)
            for start in range(0, array.size, CHUNK):
                part = array[start : start + CHUNK]
                raw: Any = np.fromfile(file, _NUMPY[entry.dtype], part.size)
                if raw.size != part.size:
                    raise IntegrityError(f"{entry.path} is cut short within '{name}'")
                if entry.dtype == "BF16":  # the upper half of a float32
                    raw = (raw.astype("<u4") << 16).view("<f4")
                if not np.isfinite(raw).all():
                    raise IntegrityError(f"'{name}' in {entry.path} holds NaN or infinity")
                part[:] = raw
        return array.reshape(entry.shape)

    def require(self, expected: dict[str, tuple[int, ...]], ignored: tuple[str, ...] = ()) -> None:
        """Refuse a folder whose tensors are not those `expected`, by name and shape.

        Args:
            expected: the shape of every tensor.
            ignored: endings of names that may be there besides.

        Raises:
            IntegrityError: what is missing, unknown, or of another shape.
        """
        found = self.shapes
        faults = [f"'{name}' is missing" for name in expected if name not in found]
        faults += [
            f"'{name}' is unknown"
            for name in found
            if name not in expected and not name.endswith(ignored)
        ]
        faults += [
            f"'{name}' has the shape {found[name]}, not {shape}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ]
        if faults:
            more = f"; and {len(faults) - NAMED_FAULTS} more" if len(faults) > NAMED_FAULTS else ""
            raise IntegrityError(
                f"the weights in {self.folder} are not those that its config.json describes: "
                + "; ".join(faults[:NAMED_FAULTS])
                + more
            )


def _read_header(path: Path) -> dict[str, _Entry]:
    entries = {}
    for name, tensor in read_header(path).tensors.items():
        if tensor.dtype not in _NUMPY:
            raise IntegrityError(
                f"{path} cannot be read: '{name}' is of the type {tensor.dtype}, "
                "which zoo cannot read"
            )
        entries[name] = _Entry(path, tensor.dtype, tensor.shape, tensor.start)
    return entries
