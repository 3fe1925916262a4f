"""What `zoo lint --compare-plan` writes: a small report that a person can send in.

It has names and kinds of operations, and neither weights nor paths.
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

from zoo.reports.findings import LintReport

SCHEMA = 1


def compare(name: str, report: LintReport) -> dict[str, Any]:
    """Prediction and plan of every function, with their differences by kind of operation.

    Returns: {schema, zoo, ref, target, system, machine, functions: [{package, function, operations,
    compared, agreed, differences: [{kind, predicted, planned, count, operations}]}]}.
    """
    functions = []
    for placed in report.placements:
        differences = placed.differences()
        compared = len(placed.compared)
        functions.append(
            {
                "package": placed.package,
                "function": placed.function,
                "operations": len(placed.units),
                "compared": compared,
                "agreed": compared - sum(case["count"] for case in differences),
                "differences": differences,
            }
        )
    return {
        "schema": SCHEMA,
        "zoo": version("zoo-ml"),
        "ref": PurePath(name).name,
        "target": report.target,
        "system": f"{platform.system()} {platform.mac_ver()[0] or platform.release()}",
        "machine": platform.machine(),
        "functions": functions,
    }
