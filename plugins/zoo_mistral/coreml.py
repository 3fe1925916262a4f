"""Mistral by Core ML: a stateful program built straight from the source's weights."""

from collections.abc import Mapping
from pathlib import Path

import zoo
from zoo.formats.coreml import CoreMLTextModel, convert_decoder
from zoo_mistral.config import for_coreml, read_mistral_config


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe,
    build: zoo.Build,
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    progress: zoo.Progress,
) -> Path:
    config = read_mistral_config(source)
    spec = for_coreml(config, recipe.context)
    return convert_decoder(recipe, build, spec, config.plain, source, adapters, workdir, progress)


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path) -> zoo.TextModel:
    return CoreMLTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
