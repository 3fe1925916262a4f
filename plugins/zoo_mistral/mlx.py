"""Mistral by MLX: the source's own weights, with a config that mlx-lm reads right."""

from collections.abc import Mapping
from pathlib import Path

import zoo
from zoo.formats.mlx import MLXTextModel, write_checkpoint
from zoo_mistral.config import for_mlx, read_mistral_config


@zoo.hookimpl
def convert(source: Path, workdir: Path) -> Path:
    config = for_mlx(read_mistral_config(source))
    write_checkpoint(source, config, workdir)
    return workdir


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path, adapters: Mapping[str, Path]) -> zoo.TextModel:
    model = MLXTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
    return model.add_adapters(adapters)
