"""Mistral as a family of decoders."""

from __future__ import annotations

from zoo.decoders import DecoderFamily, for_coreml, for_mlx, for_transformers

MISTRAL = DecoderFamily(
    "mistral", "MistralForCausalLM", windowed=True, window=4096, positions=131072
)
read_mistral_config, parse_config = MISTRAL.read, MISTRAL.parse

__all__ = [
    "MISTRAL",
    "for_coreml",
    "for_mlx",
    "for_transformers",
    "parse_config",
    "read_mistral_config",
]
