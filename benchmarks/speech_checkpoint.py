"""A Whisper checkpoint for measuring, and mlx-whisper's layout of any.

The checkpoint has the shape and the vocabulary of openai/whisper-tiny and random weights, but for
the decoder's positions, which are those of the tokens to write: whatever it hears, each window says
the same `TOKENS` tokens, so that all ways of running it do the same work.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from zoo_whisper.tiny import MULTILINGUAL, TASKS, languages_known, make_tokenizer

TOKENS = 100
"""Of a window: its first and last are timestamps."""

RENAMED = (
    ("model.", ""),
    ("decoder.embed_tokens", "decoder.token_embedding"),
    ("decoder.embed_positions.weight", "decoder.positional_embedding"),
    ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
    (".layers.", ".blocks."),
    ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("self_attn", "attn"),
    ("encoder_attn", "cross_attn"),
    ("q_proj", "query"),
    ("k_proj", "key"),
    ("v_proj", "value"),
    ("out_proj", "out"),
    ("fc1", "mlp1"),
    ("fc2", "mlp2"),
)
"""Names of Hugging Face's layout and of mlx-whisper's, in the order in which they are changed."""


def make(folder: Path) -> None:
    """Write the checkpoint in Hugging Face's layout."""
    folder.mkdir(parents=True)
    tokenizer = make_tokenizer(MULTILINGUAL, "Ġw")
    tokenizer.save(str(folder / "tokenizer.json"))
    ids: dict[str, Any] = {n: tokenizer.token_to_id(f"<|{n}|>") for n in ("endoftext", *TASKS)}
    end, zero = ids["endoftext"], ids["notimestamps"] + 1
    torch.manual_seed(1)
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=384,
        encoder_layers=4,
        decoder_layers=4,
        encoder_attention_heads=6,
        decoder_attention_heads=6,
        encoder_ffn_dim=1536,
        decoder_ffn_dim=1536,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=end + 1,
    )
    model = WhisperForConditionalGeneration(config)
    texts = torch.randint(1000, MULTILINGUAL, (TOKENS - 2,)).tolist()
    prompt = 3  # start, language and task
    with torch.no_grad():
        meaning = torch.randn(config.vocab_size, config.d_model) / 10
        model.model.decoder.embed_tokens.weight.copy_(meaning)
        positions = model.model.decoder.embed_positions.weight
        for place, token in enumerate([zero, *texts, zero + 1500, end], prompt - 1):
            positions[place] = 10 * meaning[token]
    model.generation_config = GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=end + 1,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": end + 2 + n for n, code in enumerate(languages_known())},
        task_to_id={task: ids[task] for task in ("transcribe", "translate")},
        max_initial_timestamp_index=50,
        max_length=448,
        no_timestamps_token_id=ids["notimestamps"],
        prev_sot_token_id=ids["startofprev"],
    )
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)


def to_peer(source: Path, folder: Path) -> None:
    """Write a checkpoint in mlx-whisper's layout."""
    folder.mkdir(parents=True)
    config = json.loads((source / "config.json").read_text())
    weights = {
        _renamed(name): np.float32(weight.swapaxes(1, 2) if weight.ndim == 3 else weight).copy()
        for path in sorted(source.glob("*.safetensors"))
        for name, weight in load_file(path).items()
        if name not in ("proj_out.weight", "model.encoder.embed_positions.weight")
    }
    save_file(weights, folder / "weights.safetensors")
    dimensions = {
        "n_mels": config["num_mel_bins"],
        "n_audio_ctx": config["max_source_positions"],
        "n_audio_state": config["d_model"],
        "n_audio_head": config["encoder_attention_heads"],
        "n_audio_layer": config["encoder_layers"],
        "n_vocab": config["vocab_size"],
        "n_text_ctx": config["max_target_positions"],
        "n_text_state": config["d_model"],
        "n_text_head": config["decoder_attention_heads"],
        "n_text_layer": config["decoder_layers"],
    }
    (folder / "config.json").write_text(json.dumps(dimensions))


def _renamed(name: str) -> str:
    for theirs, ours in RENAMED:
        name = name.replace(theirs, ours)
    return name
