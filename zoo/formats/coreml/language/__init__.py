"""Decoder-only language models in Core ML."""
