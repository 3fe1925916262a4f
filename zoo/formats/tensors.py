"""Read safetensors one tensor at a time, so that no more than one is ever in memory.

The `safetensors` package maps whole files, whose pages then count as memory of the process, and
its NumPy side does not know bfloat16. The format is a JSON header and plain bytes
(https://huggingface.co/docs/safetensors/index#format), read here without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.safetensors import read_header
from zoo.formats.checkpoint import weight_files
from zoo.formats.quantized import (
    Packed,
    find_packed,
    quantization_of,
    unpack_fp8,
    unpack_mlx,
)

NAMED_FAULTS = 4
CHUNK = 1 << 22
"""Elements that are read at once."""

WRAPPERS = ("_orig_mod.", "module.", "_forward_module.", "model.module.")
"""What torch.compile, DataParallel and DeepSpeed put before the names of what they wrap."""

_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_RAW = {"U32": "<u4", "F8_E4M3": "u1"}


@dataclass(frozen=True)
class _Entry:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Tensors:
    """Read the floating-point tensors of a checkpoint one at a time.

    Matrices that MLX quantized, or that are stored as FP8 in blocks, are dequantized: each is one
    tensor in its original shape.

    Args:
        folder: the folder of the checkpoint.
        files: safetensors files to read in place of those that `weight_files` finds.

    Raises:
        IntegrityError: there are no weights, a header is damaged, two files contain the same
            tensor, or the quantization is not supported.
    """

    def __init__(self, folder: Path, files: list[Path] | None = None) -> None:
        self.folder = folder
        quantization = {} if files else quantization_of(folder)
        self.files = list(files or weight_files(folder))
        """The files that the tensors are in."""
        self._entries: dict[str, _Entry] = {}
        for path in self.files:
            found = _read_header(path)
            if twice := next((name for name in found if name in self._entries), None):
                other = self._entries[twice].path.name
                raise IntegrityError(f"'{twice[:80]}' is in {path} and in {other} beside it")
            self._entries.update(found)
        self._packed: dict[str, Packed] = {}
        if not files:
            kinds = {name: (entry.shape, entry.dtype) for name, entry in self._entries.items()}
            self._packed = find_packed(kinds, quantization, folder)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""
        parts = {part for packed in self._packed.values() for part in packed.parts[1:]}
        plain = {name: e.shape for name, e in self._entries.items() if name not in parts}
        return {**plain, **{name: packed.shape for name, packed in self._packed.items()}}

    @property
    def dtypes(self) -> dict[str, str]:
        """The stored type of each tensor, as in safetensors, without quantized matrices."""
        return {name: self._entries[name].dtype for name in self.shapes if name not in self._packed}

    def read(self, name: str) -> Any:
        """Read a tensor, converted to float32.

        Args:
            name: its name in the checkpoint.

        Returns: a float32 array.

        Raises:
            IntegrityError: the file is cut short, or the tensor has an unsupported type or holds
                NaN or infinity.
        """
        packed = self._packed.get(name)
        if packed is None:
            return self._read(name)
        import numpy as np

        raw = self._raw(name)
        scales, *biases = (self._read(part) for part in packed.parts[1:])
        if biases:
            whole = unpack_mlx(raw, scales, biases[0], packed.bits)
        else:
            whole = unpack_fp8(raw, scales, packed.group)
        if not np.isfinite(whole).all():
            raise IntegrityError(f"'{name}' in {self.folder} holds NaN or infinity")
        return whole

    def read_rows(self, name: str, start: int, end: int) -> Any:
        """Read rows of a tensor, converted to float32.

        Only these rows are read from disk, except from a quantized tensor.

        Args:
            name: its name in the checkpoint.
            start: the first row.
            end: the row after the last one.

        Returns: a float32 array of shape (end - start, ...).

        Raises:
            IntegrityError: as for `read`.
        """
        if name in self._packed:
            return self.read(name)[start:end]
        entry = self._entries[name]
        row = prod(entry.shape[1:])
        return self._read(name, start * row, (end - start, *entry.shape[1:]))

    def _raw(self, name: str) -> Any:
        import numpy as np

        entry = self._entries[name]
        with entry.path.open("rb") as file:
            file.seek(entry.offset)
            raw: Any = np.fromfile(file, _RAW[entry.dtype], prod(entry.shape))
        if raw.size != prod(entry.shape):
            raise IntegrityError(f"{entry.path} is cut short within '{name}'")
        return raw.reshape(entry.shape)

    def _read(self, name: str, first: int = 0, shape: tuple[int, ...] | None = None) -> Any:
        """Elements from the one numbered `first` on, in a shape; all of the tensor by default."""
        import numpy as np

        entry = self._entries[name]
        shape = entry.shape if shape is None else shape
        if entry.dtype not in _NUMPY:
            raise IntegrityError(
                f"{entry.path} cannot be read: '{name[:80]}' is of the type {entry.dtype}, "
                "which zoo cannot read"
            )
        array: Any = np.empty(prod(shape), np.float32)
        with entry.path.open("rb") as file:
            file.seek(entry.offset + first * np.dtype(_NUMPY[entry.dtype]).itemsize)
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
        return array.reshape(shape)

    def require(
        self, expected: Mapping[str, tuple[int, ...]], ignored: tuple[str, ...] = ()
    ) -> None:
        """Check that a checkpoint has exactly the expected tensors.

        Args:
            expected: name to shape of every tensor.
            ignored: endings of the names of tensors that may also be present.

        Raises:
            IntegrityError: a tensor is missing, unknown, or of another shape.
        """
        found = self.shapes
        faults = [f"'{name}' is missing" for name in expected if name not in found]
        faults += [
            f"'{name[:80]}' is unknown"
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
                + more,
                _wrapped(expected, found),
            )


def _wrapped(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """What to do when all names are there, with the same word before them."""
    for wrapper in WRAPPERS:
        if expected and all(wrapper + name in found for name in expected):
            return (
                f"all names begin with '{wrapper}': the model was saved inside a wrapper; save the "
                "model that it wraps"
            )
    return None


def _read_header(path: Path) -> dict[str, _Entry]:
    return {
        name: _Entry(path, tensor.dtype, tensor.shape, tensor.start)
        for name, tensor in read_header(path).tensors.items()
    }
