"""A tiny OpenELM as the Hub has them: random weights, and Python files that must never run."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from zoo import testing
from zoo_openelm.config import parse_config
from zoo_openelm.module import OpenELM
from zoo_openelm.tiny import CONFIG

TINY = {
    **CONFIG,
    "auto_map": {
        "AutoConfig": "configuration_openelm.OpenELMConfig",
        "AutoModelForCausalLM": "modeling_openelm.OpenELMForCausalLM",
    },
    "num_transformer_layers": 3,
    "num_query_heads": [4, 4, 8],
    "num_kv_heads": [1, 2, 4],
    "ffn_multipliers": [0.5, 1.0, 2.0],
}
VOCABULARY = TINY["vocab_size"]
TEXT = "the sun is red and the sea is blue and a cat sat on the red mat by the blue sea"


def write_tokenizer(folder: Path, *, begin: bool = True) -> None:
    """A tokenizer in the shape of Llama 2's; `begin`: it puts `<s>` before each text by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    testing.write_tokenizer(folder)
    if not begin:
        path = folder / "tokenizer.json"
        saved = json.loads(path.read_text())
        assert saved["post_processor"]
        path.write_text(json.dumps({**saved, "post_processor": None}))


def make(folder: Path, *, tokenizer: bool = True, shards: int = 1, **changes) -> Path:
    """A random checkpoint as the Hub has them, with Python files that must never run."""
    folder.mkdir(parents=True)
    config = {key: value for key, value in {**TINY, **changes}.items() if value is not None}
    torch.manual_seed(0)
    module = OpenELM(parse_config(config))
    for name, weight in module.named_parameters():
        norm, spread = "norm" in name, 0.15 if "embeddings" in name else 0.3
        torch.nn.init.normal_(weight, mean=float(norm), std=0.1 if norm else spread)
    weights = module.state_dict()
    if shards == 1:
        save_file(weights, folder / "model.safetensors")
    else:
        names = sorted(weights)
        where = {}
        for number in range(shards):
            part = {name: weights[name] for name in names[number::shards]}
            file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
            save_file(part, folder / file)
            where |= dict.fromkeys(part, file)
        index = {"metadata": {}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("configuration_openelm.py", "modeling_openelm.py"):
        (folder / name).write_text(f"open({str(folder / 'ran')!r}, 'w').write('{name}')\n")
    if tokenizer:
        write_tokenizer(folder)
    return folder
