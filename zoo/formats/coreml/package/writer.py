"""Write constants to a `weight.bin`, by coremltools' own writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.formats.coreml.compat import file_value, open_writer, tensor_value
from zoo.formats.coreml.package.reader import MODEL_PATH

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
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = open_writer(path, append=append)
        self._name = MODEL_PATH + path.relative_to(folder).as_posix()

    def add(self, array: Any, type_name: str) -> Any:
        """Write an array; the protobuf `Value` that stands for it.

        Args:
            array: of odd widths, such as `UINT3`, in 8 bits each.
            type_name: of the protobuf.
        """
        import numpy as np

        if array.size < SMALL and type_name in ("FLOAT16", "FLOAT32"):
            return tensor_value(np.asarray(array))
        flat = np.ascontiguousarray(array).reshape(-1)
        write = getattr(self._writer, f"write_{WRITERS[type_name]}_data")
        offset = write(flat.view(np.uint16) if type_name == "FLOAT16" else flat)
        return file_value(self._name, offset, array.shape, type_name)
