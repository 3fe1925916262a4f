"""A rehearsal at full size: Mistral 7B's true shape, random weights, to Core ML with 4 bits.

It writes 14.5 GB of safetensors in half precision, as the source has them, converts them through
`zoo.build`, and prints seconds, the peak of the resident set and the size of the packages. Some
weights are then read back from the packages and held against the source.

Run with `python benchmarks/coreml_7b.py FOLDER [BUILD [LAYERS]]`; the folder needs 20 GB of room.
The build is coreml-int4 unless it is said; fewer layers than 32 take less time, at the same memory.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from coreml_conversion import THROUGH_ZOO
from quantization import MINI, measure

CONFIG: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 1e6,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "vocab_size": 32768,
}
SHARDS = 3
if sys.argv[3:]:
    CONFIG["num_hidden_layers"] = int(sys.argv[3])
CHECKED = (
    f"model.layers.{CONFIG['num_hidden_layers'] - 1}.mlp.down_proj.weight",
    "model.layers.0.self_attn.q_proj.weight",
)
MOST_MIB = 3072


def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of the checkpoint."""
    from zoo_mistral.config import for_coreml, parse_config

    yield from for_coreml(parse_config(CONFIG), None).shapes.items()


def write_source(folder: Path) -> None:
    """A checkpoint of random bfloat16 weights, in shards, with the miniature's tokenizer.

    As in the Hub's cache, the shards are links to blobs elsewhere.
    """
    folder.mkdir(parents=True)
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MINI / name, folder)
    numbers = np.random.default_rng(7).normal(0, 0.02, 1 << 24).astype(np.float32)
    block = (numbers.view(np.uint32) >> 16).astype(np.uint16)  # float32's upper half is bfloat16
    tensors = list(shapes())
    for shard in range(SHARDS):
        mine = tensors[shard::SHARDS]
        header, end = {}, 0
        for name, shape in mine:
            start, end = end, end + 2 * prod(shape)
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        path = folder / f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        path.symlink_to(blobs / path.name)
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for number, (_, shape) in enumerate(mine):
                left = prod(shape)
                while left:
                    part = np.roll(block[: min(left, block.size)], 977 * number)
                    file.write(part.tobytes())
                    left -= part.size


def relative_error(source: Path, packages: list[Path], name: str) -> float:
    """How far a weight of the packages is from the source's, over its own size."""
    from zoo.formats import Tensors
    from zoo.formats.coreml import Constants, Package

    wanted, plain = Tensors(source).read(name), name.replace(".", "_")
    for opened in map(Package, packages):
        _, block = opened.function()
        makers = {
            output.name: (operation, number)
            for operation in block.operations
            for number, output in enumerate(operation.outputs)
        }
        if plain in makers:
            break
    stored = Constants(opened).tensor(plain, makers, False).numpy().reshape(wanted.shape)
    return float(np.linalg.norm(stored - wanted) / np.linalg.norm(wanted))


def main() -> None:
    folder = Path(sys.argv[1])
    build = sys.argv[2] if sys.argv[2:] else "coreml-int4"
    source, home = folder / "source", folder / "home"
    if not source.exists():
        write_source(source)
    size = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    env = {**os.environ, "ZOO_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    seconds, peak = measure(THROUGH_ZOO, source, build, env=env)
    packages = sorted(home.glob(f"artifacts/*{build}*/data/*.mlpackage"))
    print(f"source {size / 1e9:.2f} GB")
    for package in packages:
        made = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
        print(f"{package.name} {made / 1e9:.2f} GB")
    verdict = "within" if peak < MOST_MIB else "NOT within"
    print(f"{seconds:.0f} s, peak {peak:.0f} MiB of memory: {verdict} 3 GiB")
    for name in CHECKED:
        print(f"{name}: relative error {relative_error(source, packages, name):.4f}")


if __name__ == "__main__":
    main()
