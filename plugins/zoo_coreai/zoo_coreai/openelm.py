"""OpenELM by Core AI: a stateful program, in which every layer has its own number of heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import zoo

from zoo_coreai.text import CoreAITextModel, convert_decoder
from zoo_openelm.config import check_weights, plain_config, read_openelm_config
from zoo_openelm.coreml import decoder_spec
from zoo_openelm.text import Prompted


class OpenELMCoreAITextModel(Prompted, CoreAITextModel):
    """A Core AI build of an OpenELM."""

    @classmethod
    def load(cls, folder: Path, *, context: int | None = None, **options: Any) -> Self:
        model = super().load(folder, context=context, **options)
        model.bos = read_openelm_config(folder).bos
        return model


@zoo.hookimpl
def convert(recipe: zoo.Recipe, build: zoo.Build, source: Path, workdir: Path) -> Path:
    config = read_openelm_config(source)
    check_weights(source, config)
    return convert_decoder(
        recipe, build, decoder_spec(config), plain_config(source), source, workdir
    )


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path) -> zoo.TextModel:
    return OpenELMCoreAITextModel.load(artifact, context=recipe.context, chat=recipe.chat)
