"""What a decoder's config means to transformers, to mlx-lm and to Core ML."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from zoo.decoders.config import DecoderConfig
from zoo.errors import IntegrityError
from zoo.formats.coreml import DecoderSpec, LayerSpec, TensorNames
from zoo.formats.coreml.language.spec import Activation

LAYER = "model.layers.{layer}"
HINT = "choose another format, such as --format torch"
IN_PYTHON = 'choose another format, such as format="torch"'

NAMES = TensorNames(
    embedding="model.embed_tokens.weight",
    norm="model.norm.weight",
    head="lm_head.weight",
    attention_norm=f"{LAYER}.input_layernorm.weight",
    qkv=tuple(f"{LAYER}.self_attn.{part}_proj.weight" for part in "qkv"),
    output=f"{LAYER}.self_attn.o_proj.weight",
    ffn_norm=f"{LAYER}.post_attention_layernorm.weight",
    gate_up=tuple(f"{LAYER}.mlp.{part}_proj.weight" for part in ("gate", "up")),
    down=f"{LAYER}.mlp.down_proj.weight",
)
"""Where transformers has the weights of these decoders."""

QK_NORMS = tuple(f"{LAYER}.self_attn.{part}_norm.weight" for part in "qk")
SILU = ("silu", "swish")
COREML_ACTIVATIONS = {
    **dict.fromkeys(SILU, "silu"),
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
COREML_ROPES = ("default", "linear", "llama3", "yarn")


def for_transformers(config: DecoderConfig) -> dict[str, Any]:
    """The values from which transformers makes its config."""
    values = {**config.plain, "rope_parameters": config.rope.for_transformers()}
    values.pop("architectures")
    values["pad_token_id"] = None  # Its row of the embedding matters in training alone.
    return values


def for_mlx(config: DecoderConfig) -> dict[str, Any]:
    """The config in the keys that mlx-lm reads, where it differs from transformers.

    mlx-lm does not know `rope_parameters` and falls back to a base of 10,000; it ties embeddings
    unless the config says otherwise; and it takes a sliding window only from `layer_types`.

    Raises:
        IntegrityError: an activation or a way of scaling positions that mlx-lm does not have.
    """
    if config.hidden_act not in SILU:
        raise _unknown("mlx", f"the activation '{config.hidden_act}' (hidden_act)")
    try:
        scaling = config.rope.for_mlx()
    except ValueError as error:
        raise IntegrityError(f"mlx does not support this config: {error}") from error
    converted = {**config.plain, "rope_theta": config.rope.theta, "rope_scaling": scaling}
    if config.sliding_window:
        converted["layer_types"] = ["sliding_attention"] * config.num_hidden_layers
    return converted


def for_coreml(config: DecoderConfig, context: int | None) -> DecoderSpec:
    """The decoder that the config describes, with room for as many tokens as it was trained on.

    Args:
        config: the architecture.
        context: what the recipe says, over the config's `max_position_embeddings`.

    Raises:
        IntegrityError: an activation or a way of scaling positions that the decoder does not have.
    """
    if config.hidden_act not in COREML_ACTIVATIONS:
        raise _unknown("coreml", f"the activation '{config.hidden_act}' (hidden_act)")
    if config.rope.kind not in COREML_ROPES:
        raise IntegrityError(
            f"coreml does not support this config: RoPE scaling '{config.rope.kind}'",
            HINT,
            in_python=IN_PYTHON,
        )
    activation = cast("Activation", COREML_ACTIVATIONS[config.hidden_act])
    spec = decoder_spec(config, context or config.max_position_embeddings)
    return replace(spec, activation=activation)


def decoder_spec(config: DecoderConfig, context: int) -> DecoderSpec:
    """The sizes and the tensors of a decoder, whatever its activation."""
    layer = LayerSpec(
        config.num_attention_heads, config.num_key_value_heads, config.intermediate_size
    )
    names = replace(
        NAMES,
        head=None if config.tie_word_embeddings else NAMES.head,
        qk_norms=QK_NORMS if config.traits.qk_norms else (),
        biased=tuple(map(_weight, config.biased)),
    )
    rope = config.rope
    return DecoderSpec(
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        head_dim=config.head_dim,
        layers=(layer,) * config.num_hidden_layers,
        names=names,
        eps=config.rms_norm_eps,
        rope_theta=rope.theta,
        rope_factor=rope.parameters.get("factor", 1.0) if rope.kind == "linear" else 1.0,
        rope_scaling=rope.kind if rope.kind in ("llama3", "yarn") else None,
        rope_parameters={
            key: float(value)
            for key, value in rope.parameters.items()
            if rope.kind in ("llama3", "yarn")
        },
        context=context,
        window=config.sliding_window,
    )


def _weight(part: str) -> str:
    """The weight of one of `PARTS`."""
    half = "self_attn" if part in "qkvo" else "mlp"
    return f"{LAYER}.{half}.{part}_proj.weight"


def _unknown(format: str, what: str) -> IntegrityError:
    return IntegrityError(f"{format} does not support {what}", HINT, in_python=IN_PYTHON)
