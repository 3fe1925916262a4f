"""The protobuf of a saved program: its operations, blocks and constants."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.compat import scalar_value

if TYPE_CHECKING:
    from zoo.formats.coreml.package.reader import Package


@dataclass(frozen=True)
class Name:
    """An argument that another operation computes."""

    name: str


def is_constant(operation: Any) -> bool:
    """Whether an operation is known before anything runs."""
    return bool(operation.type == "const" or operation.type.startswith("constexpr_"))


def arguments_of(package: Package, operation: Any) -> dict[str, Any]:
    """The arguments of an operation: arrays, names, or lists of both."""
    found: dict[str, Any] = {}
    for key, argument in operation.inputs.items():
        entries = [
            Name(binding.name)
            if binding.WhichOneof("binding") == "name"
            else package.value(binding.value)
            for binding in argument.arguments
        ]
        if key != "values" and len(entries) != 1:
            raise IntegrityError(
                f"the argument '{key}' of an operation '{operation.type}' of {package.path} has "
                f"{len(entries)} values and takes one"
            )
        found[key] = entries if key == "values" else entries[0]
    return found


Origin = tuple[str, int]
"""Where a constant is stored: the file, and the offset in it."""


def operations(block: Any) -> Iterator[Any]:
    """The operations of a block, and of the blocks within them."""
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from operations(inner)


def blocks(package: Package) -> Iterator[tuple[str, Any]]:
    """The block of each function, by the function's name, the default one first."""
    for name in package.functions:
        yield name, package.function(name)[1]


def blob(value: Any) -> Origin | None:
    """Where a protobuf `Value` is stored; `None` for one that is in the program itself."""
    if value.WhichOneof("value") != "blobFileValue":
        return None
    return value.blobFileValue.fileName, int(value.blobFileValue.offset)


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a protobuf `Value`."""
    return tuple(dimension.constant.size for dimension in value.type.tensorType.dimensions)


def width(type_name: str) -> int:
    """Bits of one number of a type, which are the digits of its name."""
    return int(type_name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def type_name(value: Any) -> str:
    """The protobuf's name of a value's type."""
    from coremltools.proto import MIL_pb2

    name: str = MIL_pb2.DataType.Name(value.type.tensorType.dataType)
    return name


IOS18 = 9
"""The version of the specification that the operations came with."""


MODEL_FILE = Path("Data/com.apple.CoreML/model.mlmodel")
"""Where coremltools writes the program of a package."""

WEIGHTS = Path("weights/weight.bin")
"""Where the constants are, beside the program."""

WEIGHT_FILE = MODEL_FILE.parent / WEIGHTS


def make_operation(kind: str, name: str, given: Mapping[str, Any], outputs: Iterable[Any]) -> Any:
    """An operation of the protobuf; what it is given are values, or names of other results."""
    from coremltools.proto import MIL_pb2

    binding = MIL_pb2.Argument.Binding
    inputs = {
        key: MIL_pb2.Argument(
            arguments=[binding(name=value) if isinstance(value, str) else binding(value=value)]
        )
        for key, value in given.items()
    }
    attributes = {"name": scalar_value(name)}
    return MIL_pb2.Operation(type=kind, inputs=inputs, attributes=attributes, outputs=outputs)


def make_constant(name: str, value: Any) -> Any:
    """The operation of the protobuf that a constant is."""
    from coremltools.proto import MIL_pb2

    return MIL_pb2.Operation(
        type="const",
        attributes={"name": scalar_value(name), "val": value},
        outputs=[MIL_pb2.NamedValueType(name=name, type=value.type)],
    )


def copied(message: Any) -> Any:
    """The same message, apart from the one that it was in."""
    return type(message).FromString(message.SerializeToString())


def replace_operations(block: Any, operations: Iterable[Any]) -> None:
    """Have these operations in a block, which may be its own or made, in place of those it has."""
    kept = [copied(operation) for operation in operations]
    del block.operations[:]
    block.operations.extend(kept)


def read_names(operation: Any) -> list[str]:
    """The names of all results and constants that an operation reads, in the order of arguments."""
    arguments = operation.inputs.values()
    return [b.name for a in arguments for b in a.arguments if b.WhichOneof("binding") == "name"]


def values_of(operation: Any) -> Iterator[Any]:
    """All constants that an operation holds itself."""
    yield from operation.attributes.values()
    for argument in operation.inputs.values():
        for binding in argument.arguments:
            if binding.WhichOneof("binding") == "value":
                yield binding.value


def copy_the_rest(package: Package, out: Path, model: Path) -> None:
    """Copy the package without its program and its constants.

    Raises:
        IntegrityError: `out` exists.
    """
    left = {package.model, package.model.parent / WEIGHTS}
    if out.exists():
        raise IntegrityError(f"{out} exists; a package is written to a new folder")
    for path in sorted(package.path.rglob("*")):
        if path.is_file() and path.resolve() not in left:
            target = out / path.relative_to(package.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    (out / model).parent.mkdir(parents=True, exist_ok=True)


def chunk_paths(package: Path) -> tuple[Path, Path]:
    """Where the halves of a package are."""
    first, second = (package.with_stem(f"{package.stem}_chunk{number}") for number in (1, 2))
    return first, second
