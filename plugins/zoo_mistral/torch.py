"""Mistral by PyTorch: the source's own weights, in the module of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.decoders import for_transformers
from zoo.formats.torch import TorchTextModel
from zoo_mistral.config import MISTRAL


class MistralTextModel(TorchTextModel):
    """A Mistral checkpoint folder, run as it is."""

    @classmethod
    def load(cls, folder: Path, *, context: int | None = None, **options: Any) -> Self:
        """Load the model in `folder`: float32 on a CPU, the stored type on a GPU.

        Raises:
            zoo.IntegrityError: the config is not a Mistral's, or the weights are not the config's.
            zoo.NotFound: there is no tokenizer.
        """
        config = MISTRAL.read(folder)
        context = context or config.max_position_embeddings
        return cls.of(for_transformers(config), folder, context=context, **options)


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path, adapters: Mapping[str, Path]) -> zoo.TextModel:
    model = MistralTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
    return model.add_adapters(adapters)
