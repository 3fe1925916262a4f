"""Read a saved `.mlpackage`: its program, and its constants from `weight.bin`, decompressed.

The program is coremltools' protobuf `MIL.proto`
(https://apple.github.io/coremltools/mlmodel/Format/MIL.html). A constant in `weight.bin` has a
header of 64 bytes at the offset that the program names: a marker, the type, the number of bytes
and where they begin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, NotFound
from zoo.formats.coreml.compat import load_coremltools
from zoo.formats.coreml.package.proto import shape_of, type_name

MODEL_PATH = "@model_path/"
MARKER = 0xDEADBEEF
HEADER_BYTES = 64
REPEATED = 1 << 24
"""Numbers up to which one number in a program may stand for a whole constant."""

MALFORMED = (
    AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What reading a damaged program raises, deep inside NumPy."""

UNPACKED = 1 << 22
"""Integers of odd widths that are unpacked at once."""

PLAIN = {
    "BOOL": "?",
    "FLOAT16": "<f2",
    "FLOAT32": "<f4",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
}
PACKED = {"INT4": 4, "UINT1": 1, "UINT2": 2, "UINT3": 3, "UINT4": 4, "UINT6": 6}


class Package:
    """A saved `.mlpackage`, opened for reading.

    Attributes:
        path: the package.
        model: the file with the program.
        spec: the protobuf `Model`.

    Raises:
        IntegrityError: a file is missing or damaged, or the package has no ML program.
    """

    def __init__(self, path: Path) -> None:
        load_coremltools()
        from coremltools.proto import Model_pb2
        from google.protobuf.message import DecodeError

        self.path = path
        self.model = _model_file(path)
        self.spec = Model_pb2.Model()
        try:
            self.spec.ParseFromString(self.model.read_bytes())
        except (OSError, DecodeError) as error:
            raise IntegrityError(f"{self.model} cannot be read: {error}") from error
        if self.spec.WhichOneof("Type") != "mlProgram":
            raise IntegrityError(f"{path} holds no ML program")
        self._files: dict[str, Any] = {}

    @property
    def functions(self) -> list[str]:
        """The names of the functions, the default one first."""
        default = self.spec.description.defaultFunctionName or "main"
        return sorted(self.spec.mlProgram.functions, key=lambda name: (name != default, name))

    def function(self, name: str | None = None) -> tuple[Any, Any]:
        """Return the interface and the block of a function, as protobufs.

        The interface has `input`, `output` and `state`, lists of `FeatureDescription`.

        Args:
            name: the function; `None` for the default one.

        Raises:
            NotFound: there is no such function.
        """
        if not self.functions:
            raise IntegrityError(f"{self.path} has no function")
        default = self.spec.description.defaultFunctionName
        if name is None and default not in ("", *self.functions):
            raise IntegrityError(f"{self.path} has no function '{default}', which is its default")
        name = name or self.functions[0]
        if name not in self.functions:
            known = ", ".join(self.functions)
            raise NotFound(f"{self.path} has no function '{name}'; it has {known}")
        function = self.spec.mlProgram.functions[name]
        described = [f for f in self.spec.description.functions if f.name == name]
        interface = described[0] if described else self.spec.description
        if function.opset not in function.block_specializations:
            raise IntegrityError(f"the function '{name}' of {self.path} has no operations")
        return interface, function.block_specializations[function.opset]

    def value(self, value: Any) -> Any:
        """Read a protobuf `Value` as an array or a string.

        Raises:
            IntegrityError: `weight.bin` does not contain it, or its type is not supported.
        """
        try:
            name, shape = _known_type(value), shape_of(value)
            if value.WhichOneof("value") == "blobFileValue":
                return self._blob(value.blobFileValue, name, shape)
            return _immediate(value.immediateValue.tensor, name, shape)
        except MALFORMED as error:
            raise IntegrityError(
                f"{self.path} has a constant that is not what its type says: {error}"
            ) from error

    def release(self) -> None:
        """Close the files of constants, which are reopened when needed."""
        self._files.clear()

    def _blob(self, blob: Any, type_name: str, shape: tuple[int, ...]) -> Any:
        import numpy as np

        data, where = self._file(blob.fileName), int(blob.offset)
        header = data[where : where + HEADER_BYTES]
        if len(header) < HEADER_BYTES or int(header[:4].view("<u4")[0]) != MARKER:
            raise IntegrityError(f"{self.path} has no constant at {where} of its weights")
        size, start = (int(number) for number in header[8:24].view("<u8"))
        count = prod(shape)
        wanted = stored_bytes(type_name, count)
        if size < wanted or start + wanted > len(data):
            raise IntegrityError(
                f"{self.path} is cut short: a constant at {where} needs {wanted:,} bytes"
            )
        raw = data[start : start + wanted]
        if type_name in PACKED:
            found = unpack(raw, count, PACKED[type_name], signed=type_name == "INT4")
        else:
            found = np.asarray(raw).view(PLAIN[type_name])
        return found.reshape(shape)

    def _file(self, name: str) -> Any:
        import numpy as np

        if name not in self._files:
            folder = self.model.parent.resolve()
            path = (folder / name.removeprefix(MODEL_PATH)).resolve()
            if not path.is_relative_to(folder):
                raise IntegrityError(f"{self.path} has its weights outside, in '{name}'")
            try:
                if not path.is_file():
                    raise FileNotFoundError("there is no such file")
                self._files[name] = np.memmap(path, np.uint8, "r")
            except (OSError, ValueError) as error:
                raise IntegrityError(f"{path} cannot be read: {error}") from error
        return self._files[name]


def unpack(raw: Any, count: int, bits: int, *, signed: bool) -> Any:
    """Integers of 1 to 6 bits, packed from the lowest bit on, as an array of 8 bits each.

    Args:
        raw: uint8 array.
        count: how many integers there are.
        bits: of each.
        signed: whether the highest bit is a sign.
    """
    import numpy as np

    found = np.empty(count, np.uint8)
    if bits == 4:
        found[0::2] = raw[: (count + 1) // 2] & 15
        found[1::2] = raw[: count // 2] >> 4
    else:
        weights = (1 << np.arange(bits)).astype(np.uint8)
        for start in range(0, count, UNPACKED):
            some = min(UNPACKED, count - start)
            part = raw[start * bits // 8 : -(-(start + some) * bits // 8)]
            ones = np.unpackbits(part, bitorder="little")[: some * bits]
            found[start : start + some] = ones.reshape(some, bits) @ weights
    if not signed:
        return found
    sign = np.uint8(1 << (bits - 1))
    return ((found ^ sign) - sign).view(np.int8)


def decompress(kind: str, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The outputs of an operation `constexpr_*` of iOS 18.

    Args:
        kind: the operation.
        inputs: its arrays, by the names that coremltools documents.

    Raises:
        IntegrityError: an operation, or a way of using it, that is not known here.
    """
    match kind:
        case "constexpr_blockwise_shift_scale":
            return (_shift_scale(**inputs),)
        case "constexpr_lut_to_dense":
            return (_look_up(**inputs),)
        case "constexpr_sparse_to_dense":
            return (_spread(**inputs),)
        case "constexpr_sparse_blockwise_shift_scale":
            mask = inputs["data_mask"]
            arrays = {key: value for key, value in inputs.items() if key in ("scale", "offset")}
            dense = _shift_scale(_spread(inputs["nonzero_data"], mask), **arrays)
            return mask, dense[mask.astype(bool)]
        case "constexpr_lut_to_sparse":
            mask = inputs["indices_mask"]
            indices = _spread(inputs["indices_nonzero_data"], mask)
            return mask, _look_up(indices, inputs["lut"])[mask.astype(bool)]
    raise IntegrityError(f"the operation '{kind}' is not supported by the reference executor")


def _shift_scale(data: Any, scale: Any, offset: Any = None) -> Any:
    """`scale * (data - offset)`, where each block of `data` shares one scale."""
    import numpy as np

    blocks = _blocks(data.shape, scale.shape)
    apart = [size for pair in zip(scale.shape, blocks, strict=True) for size in pair]
    one_each = [size for length in scale.shape for size in (length, 1)]
    wide = np.asarray(data).reshape(apart).astype(np.float32)
    if offset is not None:
        wide -= offset.reshape(one_each).astype(np.float32)
    wide *= scale.reshape(one_each).astype(np.float32)
    return wide.reshape(data.shape).astype(scale.dtype)


def _look_up(indices: Any, lut: Any, vector_axis: Any = None) -> Any:
    """Each index replaced by its entry in the table of its block."""
    import numpy as np

    *tables, size, vector = lut.shape
    if vector != 1:
        raise IntegrityError("palettes of vectors are not supported by the reference executor")
    blocks = _blocks(indices.shape, tables)
    apart = [size for pair in zip(tables, blocks, strict=True) for size in pair]
    one_each = [size for length in tables for size in (length, 1)]
    first = (np.arange(int(np.prod(tables))) * size).reshape(one_each)
    return lut.reshape(-1)[indices.reshape(apart) + first].reshape(indices.shape)


def _spread(nonzero_data: Any, mask: Any) -> Any:
    """The values of `nonzero_data` where the mask is 1, and 0 elsewhere."""
    import numpy as np

    dense = np.zeros(mask.shape, nonzero_data.dtype)
    dense[mask.astype(bool)] = nonzero_data
    return dense


def _blocks(shape: Any, parts: Any) -> list[int]:
    if len(shape) != len(parts) or any(n % part for n, part in zip(shape, parts, strict=True)):
        raise IntegrityError(f"a weight of shape {shape} cannot be in blocks of {tuple(parts)}")
    return [length // part for length, part in zip(shape, parts, strict=True)]


def _model_file(path: Path) -> Path:
    """The model file that the package's manifest names.

    Raises:
        IntegrityError: the manifest is missing or damaged, or it names a file elsewhere.
    """
    manifest = path / "Manifest.json"
    try:
        if not manifest.is_file():
            raise FileNotFoundError("there is no such file")
        data = json.loads(manifest.read_text(encoding="utf-8"))
        name = data["itemInfoEntries"][data["rootModelIdentifier"]]["path"]
        folder = (path / "Data").resolve()
        model: Path = (folder / name).resolve()
    except (OSError, *MALFORMED) as error:
        raise IntegrityError(f"{manifest} cannot be read: {error!r}") from error
    if not model.is_relative_to(folder):
        raise IntegrityError(f"{manifest} names a file outside of the package: '{name}'")
    if not model.is_file():
        raise IntegrityError(f"{model} cannot be read: there is no such file")
    return model


def _known_type(value: Any) -> str:
    name = type_name(value)
    if name not in PLAIN and name not in PACKED and name != "STRING":
        raise IntegrityError(f"the type {name} is not supported by the reference executor")
    return name


def stored_bytes(type_name: str, count: int) -> int:
    """Bytes that so many numbers of a type take in `weight.bin`."""
    import numpy as np

    if type_name in PACKED:
        return (count * PACKED[type_name] + 7) // 8
    return count * np.dtype(PLAIN[type_name]).itemsize


def _immediate(tensor: Any, type_name: str, shape: tuple[int, ...]) -> Any:
    """A constant that is in the program itself; an entry of text is given as a string."""
    import numpy as np

    kind = tensor.WhichOneof("value")
    if kind == "strings":
        return tensor.strings.values[0]
    if kind == "bytes":
        raw = np.frombuffer(tensor.bytes.values, np.uint8)
        if type_name in PACKED:
            count = prod(shape)
            if stored_bytes(type_name, count) > len(raw):
                raise ValueError(f"{count:,} numbers are not in {len(raw)} bytes")
            found = unpack(raw, count, PACKED[type_name], signed=type_name == "INT4")
        else:
            found = raw.view(PLAIN[type_name])
    else:
        found = np.array(getattr(tensor, kind).values, PLAIN[type_name])
    if found.size == 0:  # protobuf leaves out what is zero
        found = np.zeros(1, found.dtype)
    if found.size == prod(shape):
        return found.reshape(shape)
    if prod(shape) > REPEATED:
        raise ValueError(f"it has the shape {shape}, and its numbers are not there")
    return np.broadcast_to(found.reshape(()), shape)
