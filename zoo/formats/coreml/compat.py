"""The private parts of coremltools that zoo uses, behind one lock and one test of the version.

coremltools has no public way to write a constant when it is asked for, to choose where temporary
files go, or to free weights while it converts. Each way is here, as a context manager that changes
coremltools for as long as it is open. All of them hold one lock, so conversions in several threads
wait for each other. Nothing else in zoo imports or replaces a name with an underscore, or the
helpers of coremltools' backend.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import cache, partial
from pathlib import Path
from threading import RLock
from types import SimpleNamespace
from typing import Any

from zoo.errors import MissingExtra

SUPPORTED = "9.0"
"""The version of coremltools whose private parts are known."""

LARGE = 4096
"""Entries from which a weight is worth freeing."""

_ONE_AT_A_TIME = RLock()


@cache
def load_coremltools() -> Any:
    """coremltools, without the warnings that it prints on systems without Core ML.

    Raises:
        MissingExtra: it is not installed, or of a version whose parts are not known.
    """
    logger = logging.getLogger("coremltools")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with without_output():
            import coremltools
    except ImportError as error:
        raise MissingExtra(
            f"coremltools cannot be imported: {error}", "pip install 'zoo-ml[coreml]'"
        ) from error
    finally:
        logger.setLevel(before)
    version: str = coremltools.__version__
    if not f"{version}.".startswith(f"{SUPPORTED}."):
        raise MissingExtra(
            f"coremltools {version} is installed; zoo writes weights by private parts of "
            f"coremltools {SUPPORTED}",
            f"pip install 'coremltools=={SUPPORTED}.*'",
        )
    return coremltools


@contextmanager
def converting(folder: Path) -> Iterator[None]:
    """While coremltools converts: it prints nothing, and writes temporary files below `folder`.

    They are gone afterwards. Python's own `tempfile` stays as it is for everybody else.
    """
    load_coremltools()
    from coremltools.converters.mil import converter
    from coremltools.models import utils

    with _ONE_AT_A_TIME, tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as inside:
        before = [(module, module._tempfile) for module in (converter, utils)]
        theirs = {name: getattr(tempfile, name) for name in tempfile.__all__}
        theirs["mkdtemp"] = partial(tempfile.mkdtemp, dir=inside)
        theirs["TemporaryDirectory"] = partial(tempfile.TemporaryDirectory, dir=inside)
        within = SimpleNamespace(**theirs)
        for module, _ in before:
            module._tempfile = within
        try:
            with (
                without_output(),
                _passes_unchecked(),
                _constexpr_propagated_if_present(),
                _reshapes_by_division(),
                _imports_not_collected(),
            ):
                yield
        finally:
            for module, original in before:
                module._tempfile = original


@contextmanager
def _passes_unchecked() -> Iterator[None]:
    """Validate a program before the passes and after all of them, and not after each.

    coremltools validates about 120 times a conversion, and writes the whole program out for
    messages that nobody reads. Both together are a third of the time that a U-Net takes. What
    remains are the validations of its frontend and of its exporter.
    """
    from coremltools import _logger
    from coremltools.converters.mil.mil import Function, Program
    from coremltools.converters.mil.mil.passes.pass_pipeline import PassPipelineManager

    def apply(program: Any, pipeline: Any) -> None:
        Program.validate = lambda self, check_essential_scope=False: None
        try:
            original(program, pipeline)
        finally:
            Program.validate = validate

    def quiet(kind: Any, text: Callable[[Any], str]) -> Callable[[Any], str]:
        def short(self: Any) -> str:
            return text(self) if _logger.isEnabledFor(logging.DEBUG) else f"a {kind.__name__}"

        return short

    original, validate = PassPipelineManager.apply_pipeline, Program.validate
    texts = {kind: kind.__str__ for kind in (Program, Function)}
    PassPipelineManager.apply_pipeline = staticmethod(apply)
    for kind, text in texts.items():
        kind.__str__ = quiet(kind, text)
    try:
        yield
    finally:
        PassPipelineManager.apply_pipeline = staticmethod(original)
        for kind, text in texts.items():
            kind.__str__ = text


@contextmanager
def _constexpr_propagated_if_present() -> Iterator[None]:
    """Propagate compressed weights (`constexpr_` operations) only in programs that have some.

    coremltools walks the whole program for this whenever a pass has edited a block, which is a
    quarter of the conversion time of a U-Net.
    """
    from coremltools.converters.mil.mil import Block

    found = False

    def holds(block: Any) -> bool:
        return any(
            operation.op_type.startswith("constexpr_") or any(map(holds, operation.blocks))
            for operation in block.operations
        )

    def propagate(self: Any) -> None:
        nonlocal found
        found = found or holds(self)
        if found:
            original(self)

    original = Block._propagate_nonreplaceable_vars
    Block._propagate_nonreplaceable_vars = propagate
    try:
        yield
    finally:
        Block._propagate_nonreplaceable_vars = original


@contextmanager
def _imports_not_collected() -> Iterator[None]:
    """Exclude everything that exists already from garbage collection.

    A conversion creates many objects. Each full collection would also walk the million objects that
    the imports of PyTorch and coremltools created. If the caller has frozen objects, they stay so.
    """
    ours = not gc.get_freeze_count()
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()


@contextmanager
def _reshapes_by_division() -> Iterator[None]:
    """Find the one unknown length of a reshape by a division, not by SymPy's solver.

    Each pass over a program of flexible size infers each of its reshapes again, and an equation is
    solved each time: a quarter of the time that a U-Net takes.
    """
    from coremltools.converters.mil.mil.ops.defs.iOS15.tensor_transformation import reshape
    from coremltools.converters.mil.mil.types.symbolic import is_symbolic

    def infer(volume: Any, shape: Any) -> Any:
        known = volume.free_symbols if is_symbolic(volume) else set()
        unknown = {n for n in shape if is_symbolic(n) and n.free_symbols - known}
        if -1 in shape or not all(n.is_Symbol and [*shape].count(n) == 1 for n in unknown):
            return original(volume, shape)
        if not unknown and volume != math.prod(shape):
            return original(volume, shape)
        if len(unknown) != 1:  # two lengths cannot be found from one equation
            return [*shape]
        (one,) = unknown
        length = volume / math.prod(n for n in shape if n != one)
        if not is_symbolic(length) or length.is_Integer:
            length = int(length)
        return [length if n == one else n for n in shape]

    original = reshape.enforce_volumetric_constraint
    reshape.enforce_volumetric_constraint = staticmethod(infer)
    try:
        yield
    finally:
        reshape.enforce_volumetric_constraint = staticmethod(original)


@contextmanager
def constants_made_by(produce: Callable[[str], Any]) -> Iterator[None]:
    """While this is open, coremltools asks for the array of a constant when it writes it.

    Args:
        produce: the array of the constant of a name, or `None` for one that is as it was given.
    """
    load_coremltools()
    from coremltools.converters.mil.backend.mil import helper

    def write(variable: Any, writer: Any) -> Any:
        made = produce(variable.op.name)
        if made is None:
            return original(variable, writer)
        return original(SimpleNamespace(dtype=variable.dtype, val=made), writer)

    with _ONE_AT_A_TIME:
        original = helper._get_offset_by_writing_data
        helper._get_offset_by_writing_data = write
        try:
            yield
        finally:
            helper._get_offset_by_writing_data = original


@contextmanager
def arrays_of_one_entry_as_numbers() -> Iterator[None]:
    """Let coremltools 9.0 take arrays of one entry for numbers, which NumPy 2.4 refuses to.

    https://github.com/apple/coremltools/issues/2633
    """
    load_coremltools()
    import numpy as np
    from coremltools.converters.mil.frontend.torch import ops

    def cast(context: Any, node: Any, dtype: Any, name: str) -> None:
        (x,) = ops._get_inputs(context, node, expected=1)
        if not x.can_be_folded_to_const():
            original(context, node, dtype, name)
            return
        value = dtype(np.asarray(x.val).item())
        context.add(ops.mb.const(val=value, name=node.name), node.name)

    with _ONE_AT_A_TIME:
        original = ops._cast
        ops._cast = cast
        try:
            yield
        finally:
            ops._cast = original


@contextmanager
def weights_freed(traced: Any) -> Iterator[None]:
    """Let coremltools' float32 weights go as soon as their float16 copies are made.

    When the first one is made, the program has been built, and PyTorch's module serves no more. A
    weight that another operation still reads as float32 stays.

    Args:
        traced: the PyTorch module that is converted; it loses its weights.
    """
    load_coremltools()
    import numpy as np
    import torch
    from coremltools.converters.mil.mil.passes.defs.quantization import FP16ComputePrecision

    nothing = torch.empty(0)
    held = [*traced.parameters()]

    def check(self: Any, made: Any, variable: Any) -> None:
        original(self, made, variable)
        if held:
            for weight in held:
                weight.data = nothing
            held.clear()
            gc.collect()
        constant = variable.op
        if constant is None or constant.op_type != "const" or made.val is None:
            return
        if np.size(variable.val) < LARGE or len(set(variable.child_ops)) > 2:
            return
        placeholder = np.broadcast_to(np.float32(0), variable.shape)  # which takes no memory
        for each in (variable, constant.val):
            each._sym_val.val = placeholder

    with _ONE_AT_A_TIME:
        original = FP16ComputePrecision._check_underflow_to_zero
        FP16ComputePrecision._check_underflow_to_zero = check
        try:
            yield
        finally:
            FP16ComputePrecision._check_underflow_to_zero = original


@contextmanager
def without_output() -> Iterator[None]:
    """Nothing is written to standard error."""
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        yield


def open_writer(path: Path, *, append: bool) -> Any:
    """coremltools' writer of a `weight.bin`, with a method `write_TYPE_data` for each type."""
    load_coremltools()
    from coremltools.libmilstoragepython import _BlobStorageWriter

    return _BlobStorageWriter(str(path), truncate_file=not append)


def scalar_value(value: Any) -> Any:
    """The protobuf `Value` of a number or a text."""
    load_coremltools()
    from coremltools.converters.mil.backend.mil import helper

    return helper.create_scalar_value(value)


def tensor_value(array: Any) -> Any:
    """The protobuf `Value` of an array that stands in the program itself."""
    load_coremltools()
    from coremltools.converters.mil.backend.mil import helper

    return helper.create_tensor_value(array)


def file_value(name: str, offset: int, shape: tuple[int, ...], type_name: str) -> Any:
    """The protobuf `Value` of an array that stands in a file at an offset."""
    load_coremltools()
    from coremltools.converters.mil.backend.mil import helper
    from coremltools.proto import MIL_pb2

    return helper.create_file_value_tensor(name, offset, shape, MIL_pb2.DataType.Value(type_name))
