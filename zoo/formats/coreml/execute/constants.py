"""The constants of a package as tensors: each is read and decompressed once, whoever shares it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.package.proto import Name, arguments_of, is_constant
from zoo.formats.coreml.package.reader import MALFORMED, Package, decompress

WIDE = 2_000_000_000
"""Weights up to which all of them are widened to float32 once, not each time they are used."""

Origin = tuple[Any, ...]
"""Where a constant comes from: the same for two functions that share it."""


Makers = dict[str, tuple[Any, int]]
"""For each constant, the operation that makes it and which of its outputs it is."""


class Constants:
    """The constants of all functions of a package, read when needed.

    Args:
        package: the package.
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self._shared: dict[Origin, Any] = {}

    def of(self, block: Any) -> dict[str, Any]:
        """Read the constants of a block, by name: tensors and strings.

        In blocks with very many weights, float16 matrices stay in float16. Other floats become
        float32.

        Raises:
            IntegrityError: a constant is missing or has an unsupported type.
        """
        makers = {
            output.name: (operation, number)
            for operation in block.operations
            if is_constant(operation)
            for number, output in enumerate(operation.outputs)
        }
        used = dict.fromkeys(name for name in _used(block) if name in makers)
        size = sum(_size(operation.outputs[number]) for operation, number in makers.values())
        tensors = {}
        for name in used:
            origin = self._guarded(name, self._origin, makers)
            if origin is None or origin not in self._shared:
                tensor = self._guarded(name, self.tensor, makers, size > WIDE)
                if origin is None:
                    tensors[name] = tensor
                    continue
                self._shared[origin] = tensor
            tensors[name] = self._shared[origin]
        return tensors

    def count(self, block: Any) -> int:
        """Count the elements of all constants of a block."""
        return sum(
            _size(output)
            for operation in block.operations
            if is_constant(operation)
            for output in operation.outputs
        )

    def _guarded(self, name: str, read: Callable[..., Any], *more: Any) -> Any:
        try:
            return read(name, *more)
        except (MemoryError, *MALFORMED) as error:
            raise IntegrityError(
                f"the constant '{name}' of {self.package.path} cannot be made: "
                f"{error or type(error).__name__}"
            ) from error

    def tensor(self, name: str, makers: Makers, keep_half: bool) -> Any:
        """Read one constant; see `of`.

        Raises:
            IntegrityError: the constant is missing or has an unsupported type.
        """
        return to_tensor(self._array(name, makers), keep_half)

    def _array(self, name: str, makers: Makers) -> Any:
        operation, number = makers[name]
        if operation.type == "const":
            return self.package.value(operation.attributes["val"])
        given = {
            key: self._array(value.name, makers) if isinstance(value, Name) else value
            for key, value in arguments_of(self.package, operation).items()
        }
        return decompress(operation.type, given)[number]

    def _origin(self, name: str, makers: Makers) -> Origin | None:
        """Where a constant comes from; `None` for one that is in the program itself."""
        operation, number = makers[name]
        if operation.type == "const":
            return _blob(operation.attributes["val"])
        parts = []
        for key, argument in sorted(operation.inputs.items()):
            binding = argument.arguments[0]
            within = binding.WhichOneof("binding") == "name"
            origin = self._origin(binding.name, makers) if within else _blob(binding.value)
            if origin is None:
                return None
            parts.append((key, origin))
        return operation.type, number, tuple(parts)


def to_tensor(value: Any, keep_half: bool = False) -> Any:
    """The PyTorch tensor of an array; text stays what it is.

    float16 becomes float32, unless a matrix is to be kept; unsigned integers become int32.
    """
    import numpy as np
    import torch

    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype == np.float16 and not (keep_half and array.ndim > 1):
        array = array.astype(np.float32)
    elif array.dtype in (np.uint16, np.uint32, np.int64):
        array = array.astype(np.int32)
    elif not array.flags.writeable or not array.flags.c_contiguous:
        array = array.copy()
    return torch.from_numpy(array)


def _used(block: Any) -> Iterable[str]:
    for operation in block.operations:
        if not is_constant(operation):
            for argument in operation.inputs.values():
                yield from (binding.name for binding in argument.arguments)


def _blob(value: Any) -> Origin | None:
    if value.WhichOneof("value") != "blobFileValue":
        return None
    return value.blobFileValue.fileName, int(value.blobFileValue.offset)


def _size(output: Any) -> int:
    return prod(dimension.constant.size for dimension in output.type.tensorType.dimensions)
