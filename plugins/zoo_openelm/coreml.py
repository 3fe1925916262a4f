"""OpenELM by Core ML: a stateful program, in which every layer has its own number of heads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats.coreml import CoreMLTextModel, DecoderSpec, LayerSpec, TensorNames, convert_decoder
from zoo_openelm.config import OpenELMConfig, check_weights, plain_config, read_openelm_config
from zoo_openelm.text import Prompted

LAYER = "transformer.layers.{layer}"


class OpenELMCoreMLTextModel(Prompted, CoreMLTextModel):
    """A Core ML build of an OpenELM."""

    @classmethod
    def load(cls, folder: Path, *, context: int | None = None, **options: Any) -> Self:
        model = super().load(folder, context=context, **options)
        model.bos = read_openelm_config(folder).bos
        return model


def decoder_spec(config: OpenELMConfig) -> DecoderSpec:
    """The decoder that the config describes, with room for all that it was trained on."""
    norms = (f"{LAYER}.attn.q_norm.weight", f"{LAYER}.attn.k_norm.weight")
    names = TensorNames(
        embedding="transformer.token_embeddings.weight",
        norm="transformer.norm.weight",
        head=None if config.tied else "lm_head.weight",
        attention_norm=f"{LAYER}.attn_norm.weight",
        qkv=(f"{LAYER}.attn.qkv_proj.weight",),
        qk_norms=norms if config.qk_norm else (),
        output=f"{LAYER}.attn.out_proj.weight",
        ffn_norm=f"{LAYER}.ffn_norm.weight",
        gate_up=(f"{LAYER}.ffn.proj_1.weight",),
        down=f"{LAYER}.ffn.proj_2.weight",
    )
    sizes = zip(config.query_heads, config.kv_heads, config.ffn_widths, strict=True)
    return DecoderSpec(
        vocabulary=config.vocab_size,
        width=config.model_dim,
        head_dim=config.head_dim,
        layers=tuple(LayerSpec(*size) for size in sizes),
        names=names,
        eps=config.rms_norm_eps,
        rope_theta=config.rope_base,
        context=config.context,
    )


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe,
    build: zoo.Build,
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    progress: zoo.Progress,
) -> Path:
    config = read_openelm_config(source)
    check_weights(source, config)
    spec = decoder_spec(config)
    return convert_decoder(
        recipe, build, spec, plain_config(source), source, adapters, workdir, progress
    )


@zoo.hookimpl
def run(recipe: zoo.Recipe, artifact: Path) -> zoo.TextModel:
    return OpenELMCoreMLTextModel.load(artifact, context=recipe.context, chat=recipe.chat)
