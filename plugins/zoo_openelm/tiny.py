"""A tiny OpenELM with random weights, for tests."""

from __future__ import annotations

import json
from pathlib import Path

from zoo.testing import write_tokenizer
from zoo_openelm.config import parse_config

CONFIG = {
    "model_type": "openelm",
    "architectures": ["OpenELMForCausalLM"],
    "vocab_size": 320,
    "num_transformer_layers": 2,
    "model_dim": 64,
    "head_dim": 16,
    "num_query_heads": [4, 8],
    "num_kv_heads": [1, 4],
    "num_gqa_groups": 4,
    "qkv_multipliers": [0.5, 1.0],
    "ffn_multipliers": [0.5, 2.0],
    "ffn_dim_divisor": 64,
    "ffn_with_glu": True,
    "activation_fn_name": "swish",
    "normalization_layer_name": "rms_norm",
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
    "rope_freq_constant": 10000,
    "rope_max_length": 512,
    "max_context_length": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def write(folder: Path) -> None:
    """Write the checkpoint in `folder`: two layers of different width, in float16."""
    import numpy as np
    from safetensors.numpy import save_file

    values = np.random.default_rng(0)
    weights = {}
    for name, shape in parse_config(CONFIG).shapes.items():
        norm = "norm" in name
        made = values.normal(float(norm), 0.1 if norm else 0.25, shape)
        weights[name] = made.astype(np.float16)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    write_tokenizer(folder)
