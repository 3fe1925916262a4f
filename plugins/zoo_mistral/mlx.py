"""Mistral by MLX: the source's own weights, with a config that mlx-lm reads right."""

import json
from collections.abc import Mapping
from pathlib import Path

import zoo
from zoo.formats import copy_text_files, link_or_copy, weight_files
from zoo.formats.mlx import MLXTextModel
from zoo_mistral.config import for_mlx, read_mistral_config


@zoo.hookimpl
def convert(source: Path, workdir: Path) -> Path:
    config = for_mlx(read_mistral_config(source))
    (workdir / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    for path in weight_files(source):
        name = path.name if path.name.startswith("model") else f"model-{path.name}"
        link_or_copy(path, workdir / name)
    copy_text_files(source, workdir)
    return workdir


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path, adapters: Mapping[str, Path]) -> zoo.TextModel:
    model = MLXTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
    return model.add_adapters(adapters)
