"""Core ML's own plan of where each operation runs, which a Mac alone can tell."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import UsageError
from zoo.formats.coreml.compat import load_coremltools

UNITS = {"NeuralEngine": "ane", "GPU": "gpu", "CPU": "cpu"}
"""The units of a lint by the names of Core ML's devices."""


def load_plan(package: Path, units: str) -> Any:
    """Core ML's plan for a package (https://developer.apple.com/documentation/coreml/mlcomputeplan).

    Args:
        package: the `.mlpackage`.
        units: the units that may run it, a member of `coremltools.ComputeUnit`.

    Raises:
        UsageError: this is no Mac.
    """
    if sys.platform != "darwin":
        raise UsageError(
            "Core ML's compute plan can be read only on a Mac",
            "leave --compare-plan out, or run the same command on a Mac",
            in_python="leave plan=True out, or run the same on a Mac",
        )
    from coremltools.models.compute_plan import MLComputePlan

    ct = load_coremltools()
    compiled = ct.models.utils.compile_model(str(package))
    return MLComputePlan.load_from_path(compiled, compute_units=ct.ComputeUnit[units])


def planned_units(package: Path, units: str) -> dict[str, dict[str, str]]:
    """For each function, the unit of each operation by the name of its first result.

    Raises:
        UsageError: this is no Mac.
    """
    plan = load_plan(package, units)
    return {
        name: {
            operation: UNITS[device]
            for operation, (device, _) in read_plan(plan, function).items()
            if device in UNITS
        }
        for name, function in plan.model_structure.program.functions.items()
    }


def read_plan(plan: Any, function: Any) -> dict[str, tuple[str | None, float | None]]:
    """What a loaded plan says of the operations of a function: device, and share of the cost."""
    found = {}
    for operation in _operations(function.block):
        usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
        cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
        device = type(usage.preferred_compute_device).__name__ if usage else ""
        name = re.sub(r"^ML|ComputeDevice$", "", device)
        found[operation.outputs[0].name] = (name or None, cost.weight if cost else None)
    return found


def _operations(block: Any) -> Iterator[Any]:
    return (operation for operation in block.operations if operation.outputs)
