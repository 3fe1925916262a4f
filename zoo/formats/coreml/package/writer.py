"""Write constants to a `weight.bin`, by coremltools' own writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.formats.coreml.package.reader import MODEL_PATH
from zoo.formats.coreml.package.tools import load_coremltools

WRITERS = {
    "FLOAT16": "fp16",
    "FLOAT32": "float",
    **{name: name.lower() for name in ("INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32")},
    **{name: name.lower() for name in ("INT4", "UINT1", "UINT2", "UINT3", "UINT4", "UINT6")},
}
"""How coremltools' writer calls each type of the protobuf."""

SMALL = 10
"""Constants with fewer entries are written into the program itself, as coremltools does."""


class Blobs:
    """The constants of a package that is being written.

    Args:
        path: the `weight.bin` to make.
        folder: that of the model file, from which the program names it.
        append: whether to keep the constants that the file has already.
    """

    def __init__(self, path: Path, folder: Path, *, append: bool = False) -> None:
        load_coremltools()
        from coremltools.libmilstoragepython import _BlobStorageWriter

        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = _BlobStorageWriter(str(path), truncate_file=not append)
        self._name = MODEL_PATH + path.relative_to(folder).as_posix()

    def add(self, array: Any, type_name: str) -> Any:
        """Write an array; the protobuf `Value` that stands for it.

        Args:
            array: of odd widths, such as `UINT3`, in 8 bits each.
            type_name: of the protobuf.
        """
        import numpy as np
        from coremltools.converters.mil.backend.mil import helper
        from coremltools.proto import MIL_pb2

        if array.size < SMALL and type_name in ("FLOAT16", "FLOAT32"):
            return helper.create_tensor_value(np.asarray(array))
        flat = np.ascontiguousarray(array).reshape(-1)
        write = getattr(self._writer, f"write_{WRITERS[type_name]}_data")
        offset = write(flat.view(np.uint16) if type_name == "FLOAT16" else flat)
        kind = MIL_pb2.DataType.Value(type_name)
        return helper.create_file_value_tensor(self._name, offset, array.shape, kind)
