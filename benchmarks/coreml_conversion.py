"""Time and peak memory of converting to Core ML, beside the usual way through coremltools.

A random Mistral of bfloat16 weights at three sizes, so that growth is visible; in float16, and with
weights of four bits. Each run is a process of its own; the peak is the resident set that the system
reports for it. The usual way is `plain_coreml.py`.

Run with `python benchmarks/coreml_conversion.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from quantization import MINI, measure

PEER = Path(__file__).parent / "plain_coreml.py"

THROUGH_ZOO = """
import json, resource, sys, time
start = time.perf_counter()
import zoo
zoo.build(sys.argv[1], build=sys.argv[2], family="mistral", check=False)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.perf_counter() - start, peak / 1024]))
"""

MAKE = """
import sys, torch
from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM
folder, mini, layers = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_default_dtype(torch.bfloat16)
config = MistralConfig(vocab_size=32000, hidden_size=1024, intermediate_size=2816,
    sliding_window=None, num_hidden_layers=layers, num_attention_heads=16, num_key_value_heads=4,
    max_position_embeddings=256)
MistralForCausalLM(config).save_pretrained(folder)
AutoTokenizer.from_pretrained(mini).save_pretrained(folder)
"""


def main() -> None:
    print(f"{'weights':>9}{'':22}{'coremltools':>12}{'zoo':>9}{'ratio':>8}")
    for layers in (4, 8, 16):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            env = {**os.environ, "ZOO_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
            source = folder / "source"
            subprocess.run([sys.executable, "-c", MAKE, source, MINI, str(layers)], check=True)
            weights = sum(path.stat().st_size for path in source.glob("*.safetensors")) / 2
            peer = (PEER.read_text(), source)
            for build, bits in (("coreml-fp16", ()), ("coreml-int4", ("4",))):
                plain = measure(*peer, folder / f"{build}.mlpackage", *bits, env=env)
                ours = measure(THROUGH_ZOO, source, build, env=env)
                for what, a, b in zip(("seconds", "peak MiB"), plain, ours, strict=True):
                    print(
                        f"{weights / 1e6:8.0f}M {build:12}{what:9}{a:12.1f}{b:9.1f}{b / a:8.2f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
