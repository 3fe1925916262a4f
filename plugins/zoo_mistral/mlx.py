"""Mistral by MLX: the source's own weights, with a config that mlx-lm reads right."""

from zoo_mistral.config import MISTRAL

convert, run = MISTRAL.mlx.convert, MISTRAL.mlx.run
