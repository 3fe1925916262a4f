"""Families of decoders declared as data, with their hooks for PyTorch, MLX and Core ML."""

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
    """A family of decoder-only language models with RMSNorm, RoPE and a gated MLP.

    A plugin declares it in one place and names its `torch`, `mlx` and `coreml` in entry points:

        LLAMA = DecoderFamily(
            "llama", "LlamaForCausalLM",
            biases={"attention_bias": ("q", "k", "v", "o"), "mlp_bias": ("gate", "up", "down")},
        )
        torch, mlx, coreml = LLAMA.torch, LLAMA.mlx, LLAMA.coreml

    Checkpoints are those of transformers. Each key of `config.json` is used, known to change
    nothing, or rejected, and the tensors must be exactly those that the config requires.
    """

    def parse(self, data: Mapping[str, Any]) -> DecoderConfig:
        """Parse a config.json.

        Args:
            data: the config.

        Raises:
            ValueError: the config is incomplete or contradictory, or has a key or value that is not
                supported.
        """
        return parse_config(self, data)

    def read(self, folder: Path) -> DecoderConfig:
        """Read the config of a checkpoint, and check that its weights match.

        Args:
            folder: the folder of the checkpoint.

        Raises:
            IntegrityError: the config is damaged, incomplete, not supported or of another
                architecture, or tensors are missing, unknown, or of another shape.
        """
        data = read_config(folder)
        try:
            config = self.parse(data)
        except ValueError as error:
            raise IntegrityError(f"{folder / 'config.json'}: {error}") from error
        tensors = Tensors(folder)
        if config.num_hidden_layers > len(tensors.shapes):
            raise IntegrityError(
                f"{folder / 'config.json'} has {config.num_hidden_layers} layers, but the weights "
                f"have only {len(tensors.shapes)} tensors"
            )
        config = replace(config, tie_word_embeddings=_tied(config, tensors))
        shapes = decoder_spec(config, context=1).shapes
        spare = () if NAMES.head in shapes else (str(NAMES.head),)
        tensors.require(shapes, (*IGNORED, *spare))
        return config

    @property
    def torch(self) -> Torch:
        """The hooks of the family in the format `torch`."""
        return Torch(self)

    @property
    def mlx(self) -> MLX:
        """The hooks of the family in the format `mlx`."""
        return MLX(self)

    @property
    def coreml(self) -> CoreML:
        """The hooks of the family in the format `coreml`."""
        return CoreML(self)


@dataclass(frozen=True, eq=False)
class Torch:
    """The hooks of a family in PyTorch: the source weights in the module of transformers."""

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
    """The hooks of a family in MLX: the source weights, with a config for mlx-lm."""

    family: DecoderFamily

    @hookimpl
    def convert(self, source: Path, workdir: Path) -> Path:
        """Write an MLX checkpoint that links the source weights."""
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
    """The hooks of a family in Core ML: a stateful program, converted from the source weights."""

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
