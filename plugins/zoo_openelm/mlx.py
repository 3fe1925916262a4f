"""OpenELM by MLX: the source's own weights, with a config that mlx-lm reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import zoo
from zoo.formats.mlx import MLXTextModel, write_checkpoint
from zoo_openelm.config import check_weights, plain_config, read_openelm_config
from zoo_openelm.text import Prompted


class OpenELMMLXTextModel(Prompted, MLXTextModel):
    """An MLX checkpoint folder of an OpenELM."""

    @classmethod
    def load(cls, folder: Path, *, context: int | None, chat: bool | None = False) -> Self:
        config = read_openelm_config(folder)
        model = super().load(folder, context=context or config.context, chat=chat)
        model.bos = config.bos
        return model


@zoo.hookimpl
def convert(source: Path, workdir: Path) -> Path:
    config = read_openelm_config(source)
    check_weights(source, config)
    described = {
        **plain_config(source),
        "num_query_heads": config.query_heads,
        "num_kv_heads": config.kv_heads,
        "ffn_multipliers": config.ffn_multipliers,
        "ffn_dim_divisor": config.ffn_dim_divisor,
    }
    write_checkpoint(source, described, workdir)
    return workdir


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path, adapters: Mapping[str, Path]) -> zoo.TextModel:
    model = OpenELMMLXTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
    return model.add_adapters(adapters)
