"""Stable Diffusion by MLX."""
