"""Run a saved Core ML package: by Core ML on a Mac, elsewhere operation by operation in PyTorch.

`open_program` gives both the interface of `coremltools.models.MLModel`: `predict(inputs, state)`
and `make_state()`.

The reference executor computes in float32. In the mode `fp16`, which checks use, it rounds the
result of every operation that the program has as float16: so it meets the overflow that a phone
would meet, and that a run in float32 hides.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, Literal, Protocol

from zoo.errors import InputError, IntegrityError, MissingExtra
from zoo.files.trust import require_package_names
from zoo.formats.coreml.compat import load_coremltools
from zoo.formats.coreml.execute.constants import Constants
from zoo.formats.coreml.package.reader import Package
from zoo.formats.threads import fitting_threads
from zoo.machine import free_memory

Mode = Literal["fp16", "fp32"]
"""How the reference executor computes: rounded as float16 at each operation, or not."""


class Program(Protocol):
    """A program to run, with the interface of `coremltools.models.MLModel`."""

    def make_state(self) -> Any:
        """Create a state of zeros for `predict`, or `None` if the program has no state."""

    def predict(self, inputs: Any, state: Any = None) -> dict[str, Any]:
        """Run the program.

        Args:
            inputs: input to NumPy array.
            state: a state from `make_state`, which is updated.

        Returns: output to NumPy array.
        """


def open_program(package: Path, *, function: str | None = None, mode: Mode = "fp16") -> Program:
    """Open a program: with Core ML on a Mac, and the reference executor elsewhere.

    Args:
        package: a saved `.mlpackage`.
        function: the function; `None` for the default one.
        mode: precision of the reference executor. Core ML decides for itself.

    Raises:
        IntegrityError: the package is damaged, or has an unsupported operation.
        NotFound: there is no such function.
        MissingExtra: coremltools, or PyTorch for the reference executor, is not installed.
    """
    require_package_names(package)
    if sys.platform == "darwin":
        model: Program = load_coremltools().models.MLModel(
            str(package), function_name=function, compute_units=_units(package)
        )
        return model
    return ReferenceProgram(package, function=function, mode=mode)


UNITS = {
    "all": "ALL",
    "cpuAndGPU": "CPU_AND_GPU",
    "cpuAndNeuralEngine": "CPU_AND_NE",
    "cpuOnly": "CPU_ONLY",
}
"""The names that coremltools has for the cases of `MLComputeUnits`."""


def _units(package: Path) -> Any:
    """The compute units that a package recommends in its metadata, all if it does not."""
    said = Package(package).spec.description.metadata.userDefined
    recommended = said.get("zoo.compute_units", "all")
    return load_coremltools().ComputeUnit[UNITS.get(recommended, "ALL")]


class Functions:
    """The functions of a package, opened as they are asked for; what they share is read once.

    Args:
        package: a saved `.mlpackage`.
        mode: how the reference executor computes.

    Raises:
        IntegrityError: the package is damaged.
    """

    def __init__(self, package: Path, *, mode: Mode = "fp16") -> None:
        require_package_names(package)
        self._path, self._mode, self._package = package, mode, Package(package)
        self._constants = Constants(self._package)
        if sys.platform != "darwin":
            _require_every_function(self._package)
        self.names = self._package.functions
        """Their names, the default one first."""

    def inputs(self, name: str | None = None) -> list[str]:
        """The names of a function's inputs."""
        return [feature.name for feature in self._package.function(name)[0].input]

    def open(self, name: str | None = None) -> Program:
        """A function ready to run, as `open_program` gives it."""
        if sys.platform == "darwin":
            return open_program(self._path, function=name)
        return ReferenceProgram(
            self._path, function=name, mode=self._mode, constants=self._constants
        )


class ReferenceProgram:
    """A function of a package, run by the reference executor in PyTorch on the CPU.

    Args:
        path: the package.
        function: the function; `None` for the default one.
        mode: `fp16` rounds like Core ML's float16, `fp32` does not round.
        constants: the constants of the package, if another function of it is open.
        bounded: whether flexible axes are limited to the bounds in the package.

    Raises:
        IntegrityError: the package is damaged, or has an unsupported operation.
        NotFound: there is no such function.
        MissingExtra: coremltools or PyTorch is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        function: str | None = None,
        mode: Mode = "fp16",
        constants: Constants | None = None,
        bounded: bool = True,
    ) -> None:
        _require_torch()
        from zoo.formats.coreml.execute.registers import Registers
        from zoo.formats.coreml.execute.rewrites import rewritten
        from zoo.formats.coreml.execute.steps import read_steps, require_defined

        constants = constants or Constants(Package(path))
        self.name, self._bounded, self._half = path.name, bounded, mode == "fp16"
        self._interface, block = constants.package.function(function)
        self._inputs = {feature.name: feature.type for feature in self._interface.input}
        self._states = states_of(self.name, self._interface)
        outputs = list(block.outputs)
        steps = read_steps(constants, block)
        states = set(self._states)
        require_defined(constants.package, steps, set(self._inputs), states, outputs)
        shapes = _static_shapes(self._interface, block)
        steps = rewritten(steps, shapes, self._inputs, outputs)
        kinds = {name: type_of(kind.multiArrayType) for name, kind in self._inputs.items()}
        self._program = Registers(self.name, steps, kinds, outputs, rounds=self._half)
        self._parameters = constants.count(block)

    def make_state(self) -> dict[str, Any] | None:
        """Create a state of zeros, or `None` if the program has no state.

        Raises:
            IntegrityError: there is not enough memory.
        """
        import torch

        dtype = torch.float16 if self._half else torch.float32
        try:
            return {
                name: torch.zeros(shape, dtype=dtype) for name, shape in self._states.items()
            } or None
        except RuntimeError as error:
            raise IntegrityError(
                f"there is not enough memory for the states of {self.name}: "
                f"{', '.join(self._states)}"
            ) from error

    def predict(
        self, inputs: Mapping[str, Any], state: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the program.

        Args:
            inputs: input to NumPy array, in shapes that the program supports.
            state: a state from `make_state`, which is updated.

        Returns: output to NumPy array.

        Raises:
            InputError: an input is missing, unknown or of a wrong shape, or the state is missing.
            IntegrityError: an operation cannot be computed.
        """
        import torch

        from zoo.formats.coreml.execute.constants import to_tensor

        if self._states and (state is None or self._states.keys() - state.keys()):
            raise InputError(f"{self.name} needs a state, from make_state()")
        self._require_fitting(inputs)
        given = {name: to_tensor(value, self._half) for name, value in inputs.items()}
        with torch.inference_mode(), fitting_threads(self._parameters):
            found = self._program.run(given, {} if state is None else state)
            return {name: _array(tensor) for name, tensor in found.items()}

    def _require_fitting(self, inputs: Mapping[str, Any]) -> None:
        if missing := self._inputs.keys() - inputs.keys():
            raise InputError(f"{self.name} needs the input '{min(missing)}'")
        if unknown := inputs.keys() - self._inputs.keys():
            raise InputError(f"{self.name} has no input '{min(unknown)}'")
        for key, value in inputs.items():
            if not hasattr(value, "shape"):
                raise InputError(f"{self.name} takes '{key}' as a NumPy array")
            allowed = _allowed_shape(self._inputs[key].multiArrayType, self._bounded)
            sizes = zip(value.shape, allowed, strict=False)
            if len(allowed) != value.ndim or not all(a <= size <= b for size, (a, b) in sizes):
                wanted = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in allowed)
                raise InputError(
                    f"{self.name} takes '{key}' of shape ({wanted}), not {value.shape}"
                )


def _static_shapes(interface: Any, block: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs and results, as far as the program says them."""
    found = {}
    for feature in interface.input:
        array = feature.type.multiArrayType
        if array.WhichOneof("ShapeFlexibility") is None:
            found[feature.name] = tuple(int(size) for size in array.shape)
    for operation in block.operations:
        for output in operation.outputs:
            dimensions = output.type.tensorType.dimensions
            if all(size.WhichOneof("dimension") == "constant" for size in dimensions):
                found[output.name] = tuple(size.constant.size for size in dimensions)
    return found


def _allowed_shape(array: Any, bounded: bool) -> list[tuple[float, float]]:
    """The least and the greatest length of each axis."""
    if not array.shapeRange.sizeRanges:
        return [(int(size), int(size)) for size in array.shape]
    ranges = [(int(r.lowerBound), int(r.upperBound)) for r in array.shapeRange.sizeRanges]
    return [
        (least, most if most >= 0 and (bounded or most == least) else float("inf"))
        for least, most in ranges
    ]


def type_of(array: Any) -> str:
    """The type of an input by its name in MIL."""
    from coremltools.proto import FeatureTypes_pb2

    kinds = FeatureTypes_pb2.ArrayFeatureType.ArrayDataType
    return kinds.Name(array.dataType) if array.dataType in kinds.values() else "FLOAT32"


def _require_every_function(package: Package) -> None:
    """Check every function of a package, of which the others are opened later or never.

    Raises:
        IntegrityError: the package is damaged, or has an operation that is not known.
        MissingExtra: PyTorch is not installed.
    """
    _require_torch()
    from zoo.formats.coreml.execute.steps import require_known

    for name in package.functions:
        interface, block = package.function(name)
        require_known(package, block)
        states_of(package.path.name, interface)
        made = {output.name for operation in block.operations for output in operation.outputs}
        if lost := set(block.outputs) - made - {feature.name for feature in interface.input}:
            raise IntegrityError(
                f"{package.path} declares the output '{min(lost)}', which nothing computes"
            )


def states_of(name: str, interface: Any) -> dict[str, list[int]]:
    """The shape of each state.

    Raises:
        IntegrityError: one that this machine's memory does not hold.
    """
    shapes = {
        feature.name: [int(n) for n in feature.type.stateType.arrayType.shape]
        for feature in interface.state
    }
    for state, shape in shapes.items():
        size = 4 * prod(shape)
        if min(shape, default=0) < 0 or size > free_memory():
            raise IntegrityError(
                f"the state '{state}' of {name} has the shape {tuple(shape)}, "
                "which the memory that is free does not hold"
            )
    return shapes


def _array(tensor: Any) -> Any:
    """A NumPy array of its own; floats are float32."""
    import torch

    return tensor.float().numpy() if tensor.dtype == torch.float16 else tensor.numpy().copy()


def _require_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtra(
            "without Core ML, packages are run by PyTorch, which is not installed",
            "pip install 'zoo-ml[coreml]'",
        )
