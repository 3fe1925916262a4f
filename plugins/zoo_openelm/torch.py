"""OpenELM by PyTorch: the source itself, run by this package's own module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats import Tensors
from zoo.formats.torch import TorchTextModel, best_device, stored_dtype
from zoo.tasks import Tokenizer
from zoo_openelm.config import check_weights, read_openelm_config
from zoo_openelm.text import Prompted


class OpenELMTextModel(Prompted, TorchTextModel):
    """An OpenELM checkpoint folder, run as it is; transformers brings the tokenizer alone."""

    @classmethod
    def load(cls, folder: Path, *, context: int | None, chat: bool | None = False) -> Self:
        """Load the model in `folder`: float32 on a CPU, the stored type on a GPU.

        Raises:
            zoo.IntegrityError: the config is not OpenELM's, or the weights are not the config's.
            zoo.NotFound: there is no tokenizer.
        """
        config = read_openelm_config(folder)
        check_weights(folder, config)
        tokenizer = Tokenizer(folder, chat=chat)
        import torch

        from zoo_openelm.module import OpenELM

        tensors, device = Tensors(folder), best_device()
        dtype = torch.float32 if device == "cpu" else stored_dtype(tensors)
        with torch.device("meta"):
            module = OpenELM(config)
        weights = {name: torch.from_numpy(tensors.read(name)).to(dtype) for name in config.shapes}
        module.load_state_dict(weights, strict=True, assign=True)
        module = module.to(device).eval()
        model = cls(module, tokenizer, context=context or config.context, chat=chat)
        model.bos = config.bos
        return model

    @property
    def vocabulary(self) -> int:
        return int(self.module.transformer.token_embeddings.num_embeddings)

    def forward(self, ids: Sequence[int], cache: Any, keep: int) -> tuple[Any, Any]:
        import torch

        given = torch.tensor([list(ids)], device=self.device)
        logits, cache = self.module(given, cache, keep)
        return logits[0], cache


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path, adapters: Mapping[str, Path]) -> zoo.TextModel:
    model = OpenELMTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
    return model.add_adapters(adapters)
