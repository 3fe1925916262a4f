"""Small Core ML programs, written and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.formats.coreml.compat import load_coremltools
from zoo.formats.coreml.convert.streaming import Metadata
from zoo.formats.coreml.execute.program import ReferenceProgram

ct = load_coremltools()
mb, types = ct.converters.mil.Builder, ct.converters.mil.mil.types

METADATA = Metadata("test", "me", "MIT", "1", {"source": "here"})


def save(program: Any, package: Path) -> Path:
    ct.convert(
        program,
        convert_to="mlprogram",
        pass_pipeline=ct.PassPipeline.EMPTY,
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    ).save(str(package))
    return package


def write(
    package: Path, build: Callable[..., Any], *shapes: tuple[int, ...], half: bool = False
) -> Path:
    """The package of a program that `build` makes; its arguments are the inputs, x and y."""
    dtype = types.fp16 if half else types.fp32
    specs = [mb.TensorSpec(shape, dtype=dtype) for shape in shapes]
    return save(
        mb.program(input_specs=specs, opset_version=ct.target.iOS18)(build),
        package,
    )


def run(package: Path, *inputs: np.ndarray, mode: Any = "fp32") -> list[np.ndarray]:
    found = ReferenceProgram(package, mode=mode).predict(dict(zip("xy", inputs, strict=False)))
    return list(found.values())


def uniform(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(len(shape)).uniform(low, high, shape).astype(np.float32)
