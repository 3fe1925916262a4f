"""Tiny language models: any causal language model of transformers, and a tokenizer of bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VOCABULARY = 320
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.25,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
"""Of every model; a config class keeps those that it knows."""

LETTERS = "abcdefghijklmnopqrstuvwxyz.,"


def knows(model_type: str) -> bool:
    """Whether transformers has a causal language model of this type."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def write_language_model(model_type: str, folder: Path, **changes: Any) -> None:
    """Save a random model of transformers in float16, with a tokenizer, in `folder`.

    Args:
        model_type: as in its `config.json`.
        folder: where to write.
        changes: of the config, over `SIZES`.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from zoo.tasks.text.tokenizer import quiet

    with quiet(), torch.random.fork_rng(devices=[]):
        known = type(AutoConfig.for_model(model_type))().to_dict()
        sizes = {key: value for key, value in SIZES.items() if key in known}
        if "hidden_size" not in known:  # such as gpt2, which maps these names to its own
            sizes = {k: v for k, v in SIZES.items() if k != "head_dim"}
        config = AutoConfig.for_model(model_type, **{**sizes, **changes})
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                torch.nn.init.normal_(weight, mean=float("norm" in name), std=0.1)
        model.to(torch.float16).save_pretrained(folder)
    write_tokenizer(folder)


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer like that of Llama 2: letters and bytes, without merges.

    Args:
        folder: the folder to write `tokenizer.json` and `tokenizer_config.json` in.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    pieces = [*special.values(), *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(list(special.values()))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
