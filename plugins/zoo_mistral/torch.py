"""Mistral by PyTorch: the source itself, run by transformers."""

from collections.abc import Mapping
from pathlib import Path

import zoo
from zoo.formats.torch import TorchTextModel
from zoo_mistral.config import read_mistral_config


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path, adapters: Mapping[str, Path]) -> zoo.TextModel:
    read_mistral_config(artifact)
    model = TorchTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
    return model.add_adapters(adapters)
