"""Mistral by Core AI: a stateful program with the source's own weights."""

from __future__ import annotations

from pathlib import Path

import zoo

from zoo_coreai.text import CoreAITextModel, convert_decoder
from zoo_mistral.config import for_coreml, read_mistral_config


@zoo.hookimpl
def convert(recipe: zoo.Recipe, build: zoo.Build, source: Path, workdir: Path) -> Path:
    config = read_mistral_config(source)
    spec = for_coreml(config, recipe.context)
    return convert_decoder(recipe, build, spec, config.plain, source, workdir)


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path) -> zoo.TextModel:
    return CoreAITextModel.load(artifact, context=recipe.context, chat=recipe.chat)
