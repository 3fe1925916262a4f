"""Time and peak memory of quantizing to 4 bits, beside mlx-lm's own convert.

A random Mistral of bfloat16 weights at three sizes, so that growth is visible. Each run is a
process of its own; the peak is the resident set that the system reports for it.

Run with `python benchmarks/quantization.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MINI = Path(__file__).parent.parent / "recipes" / "mistral" / "mini"

DIRECT = """
import json, resource, sys, time
start = time.perf_counter()
from mlx_lm.convert import convert
convert(sys.argv[1], sys.argv[2], quantize=True, q_bits=4, q_group_size=64)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - start, peak / 1024]))
"""

THROUGH_ZOO = """
import json, resource, sys, time
start = time.perf_counter()
import zoo
zoo.build(sys.argv[1], build="mlx-4bit", family="mistral", check=False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - start, peak / 1024]))
"""

MAKE = """
import sys, torch
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM
folder, mini, layers = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_default_dtype(torch.bfloat16)
config = MistralConfig(vocab_size=32000, hidden_size=2048, intermediate_size=5632,
    sliding_window=None, num_hidden_layers=layers, num_attention_heads=16, num_key_value_heads=4)
MistralForCausalLM(config).save_pretrained(folder)
AutoTokenizer.from_pretrained(mini).save_pretrained(folder)
"""


def measure(code: str, *arguments: object, env: dict[str, str]) -> list[float]:
    """Seconds and peak mebibytes of a process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    print(f"{'weights':>9}{'':14}{'mlx-lm':>9}{'zoo':>9}{'ratio':>8}")
    for layers in (4, 12, 20):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            env = {**os.environ, "ZOO_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
            subprocess.run(
                [sys.executable, "-c", MAKE, folder / "source", MINI, str(layers)], check=True
            )
            weights = sum(p.stat().st_size for p in (folder / "source").glob("*.safetensors")) / 2
            direct = measure(DIRECT, folder / "source", folder / "direct", env=env)
            ours = measure(THROUGH_ZOO, folder / "source", env=env)
            for what, a, b in zip(("seconds", "peak MiB"), direct, ours, strict=True):
                print(f"{weights / 1e6:8.0f}M {what:13}{a:9.1f}{b:9.1f}{b / a:8.2f}")


if __name__ == "__main__":
    main()
