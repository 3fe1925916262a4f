"""What `zoo fit` says of Core ML builds, beside the peaks that runs of them are measured to take.

Run with `python benchmarks/memory.py`. Each program runs in the reference executor, in a process of
its own: its peak, less what the process had before, is compared with weights, caches and
intermediate results by the package's shapes. The executor keeps numbers in float32, so everything
that the package has in float16 counts twice; the pages of the file of weights, from which it makes
its own, count besides. Fails where a process takes more than `zoo fit`
says with its allowance for the runtime, or where the median error is above 15 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from zoo.catalogs.formats import RUNTIME_BYTES
from zoo.formats.coreml.compat import load_coremltools
from zoo.formats.coreml.cost import fixed_inputs
from zoo.formats.coreml.memory import package_memory
from zoo.formats.coreml.package.reader import Package
from zoo.pipeline.fitting import MARGIN

MOST_ERROR = 0.15
WIDE = 2
"""Bytes of float32 for each of float16."""


def deep(layers: int, width: int, tokens: int) -> Any:
    """Layers of one matrix each: weights dominate."""
    from coremltools.converters.mil.mil import Builder as mb

    def build(x: Any) -> Any:
        for number in range(layers):
            weight = np.full((width, width), number / width, np.float16)
            x = mb.add(x=x, y=mb.gelu(x=mb.linear(x=x, weight=weight), mode="EXACT"))
        return x

    return build, (1, tokens, width)


def pictures(layers: int, channels: int, side: int) -> Any:
    """Convolutions of a large picture, with a connection over all of them: results dominate."""
    from coremltools.converters.mil.mil import Builder as mb

    def build(x: Any) -> Any:
        kept = y = mb.relu(x=x)
        for _ in range(layers):
            weight = np.full((channels, channels, 1, 1), 1 / channels, np.float16)
            y = mb.silu(x=mb.conv(x=y, weight=weight))
        return mb.add(x=y, y=kept)

    return build, (1, channels, side, side)


CASES = {
    "weights of 100 MB": (deep, (12, 2048, 16)),
    "weights of 270 MB": (deep, (32, 2048, 16)),
    "weights and results": (deep, (8, 2048, 4096)),
    "pictures of 1,024": (pictures, (6, 32, 1024)),
    "pictures of 2,048": (pictures, (4, 16, 2048)),
}


def write(build: Any, shape: tuple[int, ...], package: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from worlds import coreml_programs

    coreml_programs.write(package, build, shape, half=True)


def measure(package: Path) -> tuple[int, int]:
    """Bytes that a process has before a run, and that the run adds to its peak; in that process."""
    import resource

    import torch

    from zoo.formats.coreml.execute.program import ReferenceProgram

    warm = torch.nn.functional.gelu(torch.ones(4, 4) @ torch.ones(4, 4))
    load_coremltools()
    opened = Package(package)
    shapes = fixed_inputs(opened)
    before = resident()
    del warm, opened
    program = ReferenceProgram(package, mode="fp32")
    inputs = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}
    program.predict(inputs)
    return before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def resident() -> int:
    """Bytes of memory that this process has now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", type=Path, help="used for each program, in its own process")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    errors, over = [], []
    print(f"{'program':24} {'said':>9} {'measured':>9} {'error':>7}")
    for name, (kind, sizes) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / "case.mlpackage"
            build, shape = kind(*sizes)
            write(build, shape, package)
            memory = package_memory(package, fixed_inputs(Package(package)))
            said = memory.weights
            said += WIDE * (memory.weights + memory.caches + memory.activations)
            run = [sys.executable, __file__, "--measure", str(package)]
            done = subprocess.run(run, capture_output=True, text=True, check=True)
            before, found = json.loads(done.stdout.splitlines()[-1])
        error = (said - found) / found
        errors.append(abs(error))
        over.append(before + found > MARGIN * said + RUNTIME_BYTES)
        print(f"{name:24} {said / 1e6:6.0f} MB {found / 1e6:6.0f} MB {error:+7.1%}")
    print(f"median error {statistics.median(errors):.1%}")
    if statistics.median(errors) > MOST_ERROR or any(over):
        sys.exit("zoo fit says less than a run takes, or is too far off")


if __name__ == "__main__":
    main()
