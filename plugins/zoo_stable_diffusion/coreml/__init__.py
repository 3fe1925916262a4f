"""Stable Diffusion by Core ML."""
