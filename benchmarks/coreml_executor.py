"""Speed of the reference executor, beside PyTorch's eager run of the same model.

Both run the same weights on one thread of the CPU, in turn, and the best of some rounds counts:
seconds of the processor's time, so that other work on the machine tells less. Language models read
a prompt at once and write tokens one by one. The executor runs the saved package and rounds as
float16 does. Builds for the Neural Engine are compared with the flexible ones.

Run with `python benchmarks/coreml_executor.py`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coreml_conversion import MAKE
from quantization import MINI

PROMPT, WRITTEN, ROUNDS = 200, 24, 8
CLIP = MINI.parent.parent / "whisper" / "clips" / "01.wav"


def text(model: Any) -> dict[str, float]:
    """Seconds to read the prompt, and to write each token after it."""
    return _text(model, PROMPT)


def long_text(model: Any) -> dict[str, float]:
    """The same for a prompt of three times the length, which no function takes at once."""
    return _text(model, 3 * PROMPT)


def _text(model: Any, length: int) -> dict[str, float]:
    import zoo

    prompt = [5 + number % 900 for number in range(length)]
    start = time.process_time()
    tokens = iter(model.tokens(prompt, zoo.Sampling(max_tokens=WRITTEN)))
    next(tokens)
    first = time.process_time()
    rest = sum(1 for _ in tokens)
    each = (time.process_time() - first) / rest
    return {"ms to read": first - start, "ms a token": each}


def speech(model: Any) -> dict[str, float]:
    """Seconds to transcribe a clip."""
    start = time.process_time()
    model.transcribe(CLIP)
    return {"ms a clip": time.process_time() - start}


def picture(model: Any) -> dict[str, float]:
    """Seconds to make a picture in eight steps."""
    start = time.process_time()
    model.generate("a large red ring", steps=8, seed=1)
    return {"ms a picture": time.process_time() - start}


def compare(
    title: str,
    ref: str,
    family: str | None,
    measure: Callable[[Any], Any],
    builds: tuple[str, str] = ("torch", "coreml-fp16"),
) -> None:
    """Print the best of some rounds of both, which take turns."""
    import zoo

    models = [zoo.load(ref, build=build, family=family, check=False) for build in builds]
    rounds = [[measure(model) for model in models] for _ in range(ROUNDS)]
    for what in rounds[0][0]:
        plain, ours = (min(one[which][what] for one in rounds) for which in (0, 1))
        print(f"{title:26}{what:14}{1e3 * plain:9.1f}{1e3 * ours:9.1f}{plain / ours:8.2f}")
    for model in models:
        model.close()


def against_torch(folder: Path) -> None:
    """Compare with PyTorch."""
    large = folder / "large"
    subprocess.run([sys.executable, "-c", MAKE, large, MINI, "8"], check=True)
    print(f"{'':26}{'':14}{'PyTorch':>9}{'executor':>9}{'speed':>8}")
    compare("mistral:mini, 3 M", "mistral:mini", None, text)
    compare("openelm:mini, 2 M", "openelm:mini", None, text)
    compare("whisper:mini", "whisper:mini", None, speech)
    compare("stable-diffusion:mini", "stable-diffusion:mini", None, picture)
    compare("random Mistral, 160 M", str(large), "mistral", text)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--static", action="store_true", help="builds for the Neural Engine alone")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"ZOO_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
        if not given.static:
            against_torch(folder)
        print(f"{'':26}{'':14}{'flexible':>9}{'static':>9}{'speed':>8}")
        for family in ("mistral", "openelm"):
            builds = "coreml-fp16", "coreml-ane"
            compare(f"{family}:mini for the ANE", f"{family}:mini", None, text, builds)
            compare("  a prompt of 600 tokens", f"{family}:mini", None, long_text, builds)


if __name__ == "__main__":
    main()
