"""Speed of the reference executor, beside PyTorch's eager run of the same model.

Both run the same weights in float32 on the CPU, through `TextModel`: a prompt that is read at
once, and tokens written one by one. The executor runs the saved package and rounds as float16
does.

Run with `python benchmarks/coreml_executor.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from coreml_conversion import MAKE
from quantization import MINI

PROMPT, WRITTEN, ROUNDS = 200, 24, 3


def seconds(model: Any) -> tuple[float, float]:
    """The best of some rounds: seconds to read the prompt, and to write each token after it."""
    import zoo

    prompt = [5 + number % 900 for number in range(PROMPT)]
    reading, writing = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        tokens = iter(model.tokens(prompt, zoo.Sampling(max_tokens=WRITTEN)))
        next(tokens)
        first = time.perf_counter()
        rest = sum(1 for _ in tokens)
        reading.append(first - start)
        writing.append((time.perf_counter() - first) / rest)
    return min(reading), min(writing)


def main() -> None:
    import zoo

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"ZOO_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
        large = folder / "large"
        subprocess.run([sys.executable, "-c", MAKE, large, MINI, "8"], check=True)
        print(f"{'':26}{'':14}{'PyTorch':>9}{'executor':>9}{'speed':>8}")
        for title, ref, family in (
            ("mistral:mini, 3 M", "mistral:mini", None),
            ("openelm:mini, 2 M", "openelm:mini", None),
            ("random Mistral, 160 M", str(large), "mistral"),
        ):
            found = []
            for build in ("torch", "coreml-fp16"):
                with zoo.load(ref, build=build, family=family, check=False) as model:
                    found.append(seconds(model))
            for what, plain, ours in zip(("ms to read", "ms a token"), *found, strict=True):
                print(f"{title:26}{what:14}{1e3 * plain:9.1f}{1e3 * ours:9.1f}{plain / ours:8.2f}")


if __name__ == "__main__":
    main()
