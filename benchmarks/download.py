"""What verification costs: a pull by zoo beside the plain client of the Hub, on loopback.

    python benchmarks/download.py [--size MB] [--rounds N]

The Hub runs in a process of its own. Each round fetches one file of random bytes into an empty
cache, in turn by `huggingface_hub.snapshot_download`, which checks its size, and by zoo, which
checks its SHA-256 before the file has its name, and has it on the disk, not only in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = "acme/large"
WEIGHTS = "model.safetensors"
SERVE = """
import sys, time
from pathlib import Path
from zoo.testing.loopback_hub import LoopbackHub
with LoopbackHub(Path(sys.argv[1])) as hub:
    print(hub.url, hub.commit("acme/large"), flush=True)
    time.sleep(3600)
"""
PLAIN = """
import sys
from huggingface_hub import snapshot_download
snapshot_download("acme/large", revision=sys.argv[1], allow_patterns=["*.safetensors"])
"""
ZOO = """
import sys
from zoo.progress import Progress
from zoo.catalogs.source import File, Source
from zoo.hub.repository import Repository
source = Source(repo="acme/large", revision=sys.argv[1], files=(File("model.safetensors"),))
Repository(source, Progress("download")).pull()
"""


def write_weights(path: Path, size: int) -> None:
    """A sound file of random bytes."""
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"w": entry}).encode()
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for start in range(0, size, 1 << 24):
            file.write(os.urandom(min(1 << 24, size - start)))


def seconds(program: str, commit: str, env: dict[str, str], home: Path) -> float:
    """How long a program takes, its start included, with an empty cache."""
    shutil.rmtree(home, ignore_errors=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program, commit], env=env, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1000, help="MB to fetch")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_weights(root / "hub" / REPO / "main" / WEIGHTS, options.size * 10**6)
        serving = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(root / "hub")], stdout=subprocess.PIPE, text=True
        )
        try:
            assert serving.stdout is not None
            url, commit = serving.stdout.readline().split()
            home = root / "hf"
            env = {
                **os.environ,
                "HF_ENDPOINT": url,
                "HF_HOME": str(home),
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_HUB_DISABLE_XET": "1",
                "NO_PROXY": "127.0.0.1",
            }
            env.pop("HF_HUB_OFFLINE", None)
            took: dict[str, list[float]] = {"huggingface_hub": [], "zoo": []}
            for _ in range(options.rounds):
                for name, program in (("huggingface_hub", PLAIN), ("zoo", ZOO)):
                    took[name].append(seconds(program, commit, env, home))
        finally:
            serving.terminate()
    print(f"{options.size} MB over loopback, {options.rounds} rounds each")
    for name, times in took.items():
        middle = statistics.median(times)
        rate = options.size / middle
        print(f"{name:<16} median {middle:6.2f} s  {rate:6.0f} MB/s  best {min(times):6.2f} s")
    plain, ours = (statistics.median(took[name]) for name in ("huggingface_hub", "zoo"))
    print(f"overhead of zoo: {100 * (ours / plain - 1):+.1f} %")


if __name__ == "__main__":
    main()
