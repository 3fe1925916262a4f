"""Tiny checkpoints with random weights, so that tests need no download."""
