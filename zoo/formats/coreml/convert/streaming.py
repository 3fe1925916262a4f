"""Write Core ML packages whose weights never are in memory all at once.

coremltools builds a program out of constants that it holds as NumPy arrays until the end, and then
writes them to `weight.bin` one by one. Here a large constant is a placeholder that takes no memory
(an array of stride 0), and the real array is made at the moment when it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import StepError
from zoo.formats.coreml.compat import constants_made_by, converting
from zoo.formats.coreml.compress.encoding import Array
from zoo.formats.coreml.package.literals import share_all_literals
from zoo.formats.coreml.package.proto import MODEL_FILE
from zoo.formats.coreml.package.saving import save_spec
from zoo.progress import Progress

IMMEDIATE = 64
"""Constants with fewer elements are made at once: the smallest ones never reach `weight.bin`."""


@dataclass
class Stream:
    """The constants of one program that are yet to be made.

    Attributes:
        progress: receives the bytes written.
        bits: bits that all constants made so far, and yet to be made, take on disk.
        written: bytes that are through.
    """

    progress: Progress
    bits: int = 0
    written: int = 0
    _waiting: dict[str, tuple[Array, Callable[[], Any]]] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)

    def constants(
        self, name: str, parts: Mapping[str, Array], make: Callable[[], Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Constants that are made together, such as the integers and the scales of one weight.

        Functions of one program share those that they call by the same name.

        Args:
            name: of the constants; the part's name is appended.
            parts: what each part will be.
            make: makes the array of each part. It is called once, when the first one is written,
                and the others are kept only until they are written too.

        Returns: for each part, the variable to build the program with.
        """
        made: dict[str, Any] = {}

        def part(key: str) -> Any:
            if not made:
                made.update(make())
            return made.pop(key)

        return {
            key: self._constant(f"{name}_{key}" if key else name, array, partial(part, key))
            for key, array in parts.items()
        }

    def _constant(self, name: str, array: Array, make: Callable[[], Any]) -> Any:
        import numpy as np
        from coremltools.converters.mil.mil import Builder as mb
        from coremltools.converters.mil.mil import types

        if prod(array.shape) < IMMEDIATE:
            self.bits += array.bits
            return mb.const(val=make(), name=name)
        if name not in self._named:
            self._named.add(name)
            self._waiting[name] = (array, make)
            self.bits += array.bits
        row = np.zeros(array.shape[1:], types.nptype_from_builtin(getattr(types, array.dtype)))
        row.reshape(-1)[: array.ones // array.shape[0]] = 1
        return shared_constant(name, np.broadcast_to(row, array.shape))

    def produce(self, name: str) -> Any:
        """The real array of the constant `name`, or `None` when it is none of these."""
        if name not in self._waiting:
            return None
        array, make = self._waiting.pop(name)
        made = make()
        if made.shape != array.shape:
            raise ValueError(f"'{name}' was made in the shape {made.shape}, not {array.shape}")
        self.written += array.bits // 8
        self.progress.update(self.written, self.bits // 8)
        return made

    def require_all_written(self) -> None:
        """Refuse to go on when a placeholder may have been written in place of its array."""
        if self._waiting:
            names = ", ".join(list(self._waiting)[:4])
            raise StepError(f"coremltools did not write {len(self._waiting)} constants: {names}")


def shared_constant(name: str, array: Any) -> Any:
    """A constant that the functions of a program store once, where they call it the same."""
    from coremltools.converters.mil.mil import Builder as mb

    constant = mb.const(val=array, name=name)
    constant.op.weight_id = name
    return constant


@contextmanager
def streaming(progress: Progress) -> Iterator[Stream]:
    """Within this context, coremltools writes the constants of the stream as it asks for them.

    Only one such context is open at a time in a process; others wait.

    Raises:
        MissingExtra: coremltools is missing, or of another version.
    """
    stream = Stream(progress)
    with constants_made_by(stream.produce):
        from coremltools.converters.mil.mil import Builder

        Builder.name_count.clear()  # What was begun before, and not ended, counts in names.
        yield stream


@dataclass(frozen=True)
class Metadata:
    """Metadata of a package.

    Attributes:
        description: the model in one line.
        author: author of the model.
        license: SPDX identifier.
        version: version of the source, such as a commit.
        details: further entries, such as versions of tools.
    """

    description: str = ""
    author: str = ""
    license: str = ""
    version: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


def save_program(
    stream: Stream, program: Any, inputs: list[Any], package: Path, metadata: Metadata
) -> None:
    """Write `program` as the `.mlpackage` at `package`, its constants by the open `stream`.

    The program is written as it was built: coremltools' passes would look at the placeholders.

    Args:
        stream: the context that the program was built in.
        program: a MIL program for iOS 18, with one function or several.
        inputs: `coremltools.TensorType` for each input whose shape is flexible.
        package: where to write; temporary files lie beside it, so that one disk needs the room.
        metadata: what to write into the package.
    """
    import coremltools as ct

    for function in program.functions.values():
        if inputs:
            function.set_input_types(tuple(inputs))
    program.export_as_multifunction = len(program.functions) > 1
    with converting(package.parent):
        model = ct.convert(
            program,
            inputs=inputs or None,
            convert_to="mlprogram",
            pass_pipeline=ct.PassPipeline.EMPTY,
            compute_precision=ct.precision.FLOAT32,
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,
            package_dir=str(package),
        )
    stream.require_all_written()
    describe_model(model, metadata)
    spec = model.get_spec()
    share_all_literals(spec)
    save_spec(spec, package / MODEL_FILE)


def describe_model(model: Any, metadata: Metadata) -> None:
    """Have coremltools' `MLModel` say about itself what the metadata says."""
    model.short_description = metadata.description
    model.author, model.license, model.version = metadata.author, metadata.license, metadata.version
    for key, value in metadata.details.items():
        model.user_defined_metadata[key] = value
