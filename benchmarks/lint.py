"""How long the lint of a package of 860 million weights takes, and how much of it is in memory.

Run with `python benchmarks/lint.py`. It writes a package of 1.7 GB in a temporary folder first: 205
layers of 2,048 x 2,048 weights, each with a normalization, an activation and a residual sum. Prints
seconds and the growth of memory; fails where the lint takes 5 s or reads a tenth of the weights.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

LAYERS, WIDTH = 205, 2048
MOST_SECONDS = 5.0


def write(package: Path) -> None:
    """Write the package."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from worlds import coreml_programs
    from worlds.coreml_programs import mb

    def program(x: Any) -> Any:
        for number in range(LAYERS):
            weight = np.full((WIDTH, WIDTH), number / WIDTH, np.float16)
            y = mb.layer_norm(x=x, axes=[-1], epsilon=np.float16(1e-4))
            y = mb.gelu(x=mb.linear(x=y, weight=weight), mode="EXACT")
            x = mb.add(x=x, y=y)
        return x

    coreml_programs.write(package, program, (1, 64, WIDTH), half=True)


def main() -> None:
    from memory import resident

    from zoo.formats.coreml.lint.report import lint_package
    from zoo.formats.coreml.lint.targets import TARGETS

    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "large.mlpackage"
        write(package)
        size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
        before = resident()
        began = time.perf_counter()
        report = lint_package(package, TARGETS["any"])
        seconds, grown = time.perf_counter() - began, resident() - before
    operations = sum(len(placed.units) for placed in report.placements)
    print(f"package     {size / 1e9:.2f} GB, {operations} operations")
    print(f"lint        {seconds:.2f} s, {grown / 1e6:.0f} MB of memory")
    print(f"findings    {', '.join(finding.id for finding in report.findings)}")
    if seconds >= MOST_SECONDS or grown > size / 10:
        sys.exit("the lint is too slow, or reads the weights")


if __name__ == "__main__":
    main()
