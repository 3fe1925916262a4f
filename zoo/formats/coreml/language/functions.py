"""Make a function of a MIL program whose inputs are given as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def program_of(name: str, inputs: Mapping[str, Any], body: Callable[..., Any]) -> Any:
    """A program of one function.

    Args:
        name: of the function.
        inputs: the spec of each input by the name that Core ML's users see.
        body: makes the operations; it takes the inputs by their names, and returns the outputs.
    """
    import coremltools as ct
    from coremltools.converters.mil.mil import Function, Program

    with Function(dict(inputs), ct.target.iOS18) as function:
        outputs = body(**{key: function.inputs[key] for key in inputs})
        function.set_outputs(outputs if isinstance(outputs, list) else [outputs])
    program = Program()
    program.add_function(name, function)
    return program


def soft_capped(x: Any, cap: float, **named: str) -> Any:
    """cap * tanh(x / cap), in float16, which holds both for any x and any cap up to 65,504."""
    import numpy as np
    from coremltools.converters.mil.mil import Builder as mb

    turned = mb.tanh(x=mb.real_div(x=x, y=np.float16(cap)))
    return mb.mul(x=turned, y=np.float16(cap), **named)


def joined(x: Any, y: Any, *, clipped: bool) -> Any:
    """The stream `x` with what half of a layer adds to it.

    A norm after each half has factors of its own, and published models with such norms leave
    float16's range (https://github.com/ml-explore/mlx-lm, `clip_residual`): `clipped` sums end at
    its largest number.
    """
    import numpy as np
    from coremltools.converters.mil.mil import Builder as mb

    total = mb.add(x=x, y=y)
    if not clipped:
        return total
    largest = np.finfo(np.float16).max
    return mb.clip(x=total, alpha=-largest, beta=largest)
