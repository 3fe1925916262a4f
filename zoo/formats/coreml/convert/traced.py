"""From a PyTorch module to a Core ML package, by tracing it.

For models of moderate size: PyTorch's copy and coremltools' are in memory at once. Language models
are built from their safetensors instead (`zoo.formats.coreml.language.decoder`).

Attention becomes one operation where a module calls `scaled_dot_product_attention` without `scale`,
and a buffer that a module writes to in place becomes a state
(https://apple.github.io/coremltools/docs-guides/source/stateful-models.html).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import StepError
from zoo.formats.coreml.compat import (
    arrays_of_one_entry_as_numbers,
    converting,
    load_coremltools,
    weights_freed,
)
from zoo.formats.coreml.convert.streaming import Metadata, describe_model
from zoo.formats.coreml.package.literals import share_all_literals
from zoo.formats.coreml.package.proto import MODEL_FILE
from zoo.formats.coreml.package.saving import save_spec


@dataclass(frozen=True, eq=False)
class Axis:
    """A flexible axis that several inputs share: it has the same length in all of them.

    Attributes:
        least: smallest length.
        most: largest length.
        usual: default length, the only one that the Neural Engine runs.
    """

    least: int
    most: int
    usual: int


Length = int | tuple[int, int] | Axis
"""Of one axis: fixed, from the first to the second, or the same as wherever that axis is."""


@dataclass(frozen=True)
class Input:
    """An input of a program.

    Attributes:
        shape: length of each axis: a number, a pair of bounds, or an `Axis`. Axes with equal bounds
            are independent unless they are the same `Axis`.
        dtype: `float16`, `float32` or `int32`.
    """

    shape: tuple[Length, ...]
    dtype: str = "float16"


def write_traced(
    module: Any,
    inputs: Mapping[str, Input],
    example: Sequence[Any],
    outputs: Sequence[str],
    package: Path,
    *,
    metadata: Metadata,
    states: Sequence[str] = (),
    keep_float32: Callable[[Any], bool] = lambda operation: False,
    system: str = "iOS18",
    consume: bool = False,
) -> None:
    """Convert a PyTorch module to a `.mlpackage`, by tracing, in float16.

    Args:
        module: a `torch.nn.Module` with float32 weights, whose `forward` takes positional tensors.
        inputs: name to input, in the order of `forward`.
        example: an example tensor for each input. Independent flexible axes need different lengths
            here, other than 1.
        outputs: names of the outputs, in the order that `forward` returns them.
        package: the `.mlpackage` to write.
        metadata: metadata of the package.
        states: names of buffers that become states.
        keep_float32: returns whether to compute an operation of the MIL program in float32.
        system: the oldest system that runs it, as named by coremltools.
        consume: whether to free the weights of `module` one by one during conversion.

    Raises:
        StepError: PyTorch cannot trace the module, or coremltools cannot convert it.
    """
    import torch

    ct = load_coremltools()
    with torch.inference_mode(), warnings.catch_warnings():
        for kind in (torch.jit.TracerWarning, FutureWarning):  # what the first fears is meant so
            warnings.simplefilter("ignore", kind)
        try:
            traced = torch.jit.trace(module.eval(), tuple(example), check_trace=False)
        except RuntimeError as error:
            raise StepError(f"PyTorch cannot trace {type(module).__name__}: {error}") from error
    import numpy as np

    buffers = dict(module.named_buffers())
    axes = {
        length: ct.RangeDim(length.least, length.most, length.usual)
        for given in inputs.values()
        for length in given.shape
        if isinstance(length, Axis)
    }
    spent = weights_freed(traced) if consume else nullcontext()
    with converting(package.parent), arrays_of_one_entry_as_numbers(), spent:
        try:
            model = ct.convert(
                traced,
                inputs=[
                    ct.TensorType(
                        name, shape=_shape(ct, given, axes), dtype=getattr(np, given.dtype)
                    )
                    for name, given in inputs.items()
                ],
                outputs=[ct.TensorType(name) for name in outputs],
                states=[
                    ct.StateType(
                        ct.TensorType(shape=tuple(buffers[name].shape), dtype=np.float16), name=name
                    )
                    for name in states
                ],
                compute_precision=ct.transform.FP16ComputePrecision(
                    op_selector=lambda operation: not keep_float32(operation)
                ),
                minimum_deployment_target=ct.target[system],
                skip_model_load=True,
                package_dir=str(package),
            )
        except (NotImplementedError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())
            raise StepError(
                f"coremltools cannot convert {type(module).__name__}: {text}"
            ) from error
    describe_model(model, metadata)
    spec = model.get_spec()
    share_all_literals(spec)
    save_spec(spec, package / MODEL_FILE)


def _shape(ct: Any, given: Input, axes: Mapping[Axis, Any]) -> tuple[Any, ...]:
    def made(length: Length) -> Any:
        if isinstance(length, Axis):
            return axes[length]
        return length if isinstance(length, int) else ct.RangeDim(*length, length[0])

    return tuple(map(made, given.shape))
