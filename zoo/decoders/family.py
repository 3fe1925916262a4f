"""A family of decoders as data, which brings its hooks in torch, MLX and Core ML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.catalogs.recipe import Build, Recipe
from zoo.decoders.config import DecoderConfig, parse_config
from zoo.decoders.layout import (
    NAMES,
    decoder_spec,
    for_coreml,
    for_mlx,
    for_transformers,
    mlx_must_read,
)
from zoo.decoders.traits import Traits
from zoo.errors import IntegrityError
from zoo.formats import Tensors, read_config
from zoo.hookspecs import hookimpl
from zoo.progress import Progress
from zoo.tasks.text.model import TextModel

IGNORED = ("rotary_emb.inv_freq",)
"""Endings of tensors that older checkpoints have, and that follow from the config."""


@dataclass(frozen=True)
class DecoderFamily(Traits):
    """A family of decoder-only language models with RMSNorm, rotary positions and a gated unit.

    A plugin makes one and names its `torch`, `mlx` and `coreml` in entry points:

        LLAMA = DecoderFamily(
            "llama", "LlamaForCausalLM",
            biases={"attention_bias": ("q", "k", "v", "o"), "mlp_bias": ("gate", "up", "down")},
        )
        torch, mlx, coreml = LLAMA.torch, LLAMA.mlx, LLAMA.coreml

    Checkpoints are those of transformers. Every key of `config.json` is used, known to change
    nothing, or refused; every tensor is one that the config asks for.
    """

    def parse(self, data: Mapping[str, Any]) -> DecoderConfig:
        """The architecture that a config.json describes.

        Raises:
            ValueError: it is incomplete, contradictory, or says what zoo does not know.
        """
        return parse_config(self, data)

    def read(self, folder: Path) -> DecoderConfig:
        """The config of the checkpoint in `folder`, whose weights are those that it describes.

        Raises:
            IntegrityError: it is unreadable, incomplete, says what zoo does not know, or is of
                another architecture; tensors are missing, unknown, or of another shape.
        """
        data = read_config(folder)
        try:
            config = self.parse(data)
        except ValueError as error:
            raise IntegrityError(f"{folder / 'config.json'}: {error}") from error
        tensors = Tensors(folder)
        if config.num_hidden_layers > len(tensors.shapes):
            raise IntegrityError(
                f"{folder / 'config.json'} has {config.num_hidden_layers} layers, and the weights "
                f"have {len(tensors.shapes)} tensors"
            )
        config = replace(config, tie_word_embeddings=_tied(config, tensors))
        shapes = decoder_spec(config, context=1).shapes
        spare = () if NAMES.head in shapes else (str(NAMES.head),)
        tensors.require(shapes, (*IGNORED, *spare))
        return config

    @property
    def torch(self) -> Torch:
        """The hooks in the format `torch`."""
        return Torch(self)

    @property
    def mlx(self) -> MLX:
        """The hooks in the format `mlx`."""
        return MLX(self)

    @property
    def coreml(self) -> CoreML:
        """The hooks in the format `coreml`."""
        return CoreML(self)


@dataclass(frozen=True, eq=False)
class Torch:
    """A family of decoders by PyTorch: the source's own weights, in the module of transformers."""

    family: DecoderFamily

    @hookimpl
    def run(self, recipe: Recipe, artifact: Path, adapters: Mapping[str, Path]) -> TextModel:
        """Load the source: float32 on a CPU, the stored type on a GPU."""
        from zoo.formats.torch import TorchTextModel

        config = self.family.read(artifact)
        context = recipe.context or config.max_position_embeddings
        values = for_transformers(config)
        model = TorchTextModel.of(values, artifact, context=context, chat=recipe.chat)
        return model.add_adapters(adapters)


@dataclass(frozen=True, eq=False)
class MLX:
    """A family of decoders by mlx-lm: the source's own weights, with a config that it reads."""

    family: DecoderFamily

    @hookimpl
    def convert(self, source: Path, workdir: Path) -> Path:
        """Lay an MLX checkpoint ready."""
        from zoo.formats.mlx import write_checkpoint

        config = self.family.read(source)
        write_checkpoint(source, for_mlx(config), workdir, must_read=mlx_must_read(config))
        return workdir

    @hookimpl
    def run(self, recipe: Recipe, artifact: Path, adapters: Mapping[str, Path]) -> TextModel:
        """Load the checkpoint with mlx-lm."""
        from zoo.formats.mlx import MLXTextModel

        model = MLXTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
        return model.add_adapters(adapters)


@dataclass(frozen=True, eq=False)
class CoreML:
    """A family of decoders by Core ML: a stateful program straight from the source's weights."""

    family: DecoderFamily

    @hookimpl
    def convert(
        self,
        recipe: Recipe,
        build: Build,
        source: Path,
        adapters: Mapping[str, Path],
        workdir: Path,
        progress: Progress,
    ) -> Path:
        """Write the package."""
        from zoo.formats.coreml import convert_decoder

        config = self.family.read(source)
        spec = for_coreml(config, recipe.context)
        return convert_decoder(
            recipe, build, spec, config.plain, source, adapters, workdir, progress
        )

    @hookimpl
    def run(self, recipe: Recipe, artifact: Path) -> TextModel:
        """Load the package."""
        from zoo.formats.coreml import CoreMLTextModel

        return CoreMLTextModel.load(artifact, context=recipe.context, chat=recipe.chat)


def _tied(config: DecoderConfig, tensors: Tensors) -> bool:
    """Whether the head is the embedding; one that differs is a head of its own."""
    if not config.tie_word_embeddings or str(NAMES.head) not in tensors.shapes:
        return config.tie_word_embeddings
    import numpy as np

    head, embedding = tensors.read(str(NAMES.head)), tensors.read(NAMES.embedding)
    return bool(np.array_equal(head, embedding))
