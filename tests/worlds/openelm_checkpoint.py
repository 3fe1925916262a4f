"""A tiny OpenELM as the Hub has them: random weights, and Python files that must never run."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, processors

from zoo_openelm.config import parse_config
from zoo_openelm.module import OpenELM

VOCABULARY = 320
TINY = {
    "model_type": "openelm",
    "architectures": ["OpenELMForCausalLM"],
    "auto_map": {
        "AutoConfig": "configuration_openelm.OpenELMConfig",
        "AutoModelForCausalLM": "modeling_openelm.OpenELMForCausalLM",
    },
    "vocab_size": VOCABULARY,
    "num_transformer_layers": 3,
    "model_dim": 64,
    "head_dim": 16,
    "num_query_heads": [4, 4, 8],
    "num_kv_heads": [1, 2, 4],
    "num_gqa_groups": 4,
    "qkv_multipliers": [0.5, 1.0],
    "ffn_multipliers": [0.5, 1.0, 2.0],
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
TEXT = "the sun is red and the sea is blue and a cat sat on the red mat by the blue sea"


def write_tokenizer(folder: Path, *, begin: bool = True) -> None:
    """A tokenizer in the shape of Llama 2's: pieces with byte fallback, no merges."""
    folder.mkdir(parents=True, exist_ok=True)
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    pieces = [*special.values(), *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", *sorted(set(TEXT) - {" "})]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(list(special.values()))
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


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
