"""For each lint rule the smallest program that has the fault, and its smallest fixed twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.formats.coreml.compat import load_coremltools

ct = load_coremltools()
from coremltools.converters.mil.input_types import (  # noqa: E402
    EnumeratedShapes,
    RangeDim,
    Shape,
    TensorType,
)
from coremltools.converters.mil.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402

H, F, I32 = types.fp16, types.fp32, types.int32
SYSTEMS = {15: ct.target.iOS15, 16: ct.target.iOS16, 17: ct.target.iOS17, 18: ct.target.iOS18}
Build = Callable[..., Any]


class Twin:
    """A program to write.

    Args:
        build: makes it; its arguments are the inputs and states, by name.
        inputs: the type and shape of each input, or a `TensorType` of coremltools.
        states: the shape of each float16 state.
        system: the generation of iOS that it is written for.
        edit: changes the protobuf before it is saved.
    """

    def __init__(self, build: Build, *, system: int = 18, edit: Any = None, states: Any = None,
                 **inputs: Any) -> None:  # fmt: skip
        self.build, self.inputs, self.states = build, inputs, states or {}
        self.system, self.edit = system, edit

    def save(self, package: Path) -> Path:
        specs, given = {}, []
        for name, what in self.inputs.items():
            if isinstance(what, TensorType):
                given.append(what)
                dtype = H if what.dtype == H else F
                specs[name] = mb.placeholder(shape=what.shape.symbolic_shape, dtype=dtype)
            else:
                specs[name] = mb.placeholder(shape=what[1:], dtype=what[0])
        for name, shape in self.states.items():
            specs[name] = mb.state_tensor_placeholder(shape=shape, dtype=H)
        from coremltools.converters.mil.mil import Function, Program

        with Function(specs, opset_version=SYSTEMS[self.system]) as function:
            made = self.build(*function.inputs.values())
            function.set_outputs(list(made) if isinstance(made, tuple) else [made])
        program = Program()
        program.add_function("main", function)
        if given:
            program.functions["main"].set_input_types(tuple(given))
        model = ct.convert(
            program,
            convert_to="mlprogram",
            pass_pipeline=ct.PassPipeline.EMPTY,
            compute_precision=ct.precision.FLOAT32,
            minimum_deployment_target=SYSTEMS[self.system],
            skip_model_load=True,
            **({"inputs": given} if given else {}),
        )
        if self.edit is not None:
            self.edit(model._spec)
        model.save(str(package))
        return package


def half(value: Any) -> np.ndarray:
    return np.asarray(value, np.float16)


def ranged(name: str, *shape: Any, dtype: Any = H) -> TensorType:
    """An input; an axis given as (lowest, highest) takes a range."""
    axes = [RangeDim(a[0], a[1], default=a[0]) if isinstance(a, tuple) else a for a in shape]
    return TensorType(name=name, shape=Shape(axes), dtype=dtype)


def listed(name: str, *shapes: tuple[int, ...], dtype: Any = H) -> TensorType:
    """An input that takes these shapes."""
    return TensorType(name=name, shape=EnumeratedShapes([*shapes]), dtype=dtype)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float16)


def rms(x: Any, epsilon: float = 1e-5) -> Any:
    """The mean of squares and its inverse root, in the type of `x`."""
    mean = mb.reduce_mean(x=mb.mul(x=x, y=x), axes=[-1], keep_dims=True)
    kind = np.float16 if x.dtype == H else np.float32
    return mb.mul(x=x, y=mb.rsqrt(x=mb.add(x=mean, y=kind(epsilon)), epsilon=kind(1e-4)))
