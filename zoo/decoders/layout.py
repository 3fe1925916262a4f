"""Convert the config of a decoder for transformers, mlx-lm and Core ML."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zoo.decoders.config import DecoderConfig
from zoo.decoders.traits import ATTENTION_CAP, FULL, LOGIT_CAP, QUERY_SCALAR, SLIDING
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

FOUR_NORMS = replace(
    NAMES,
    post_attention_norm=f"{LAYER}.post_attention_layernorm.weight",
    ffn_norm=f"{LAYER}.pre_feedforward_layernorm.weight",
    post_ffn_norm=f"{LAYER}.post_feedforward_layernorm.weight",
)
"""Where it has those with four norms in a layer."""

QK_NORMS = tuple(f"{LAYER}.self_attn.{part}_norm.weight" for part in "qk")
ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""The activations that Core ML has, by their names in transformers."""

COREML_ROPES = ("default", "linear", "llama3", "yarn")


def for_transformers(config: DecoderConfig) -> dict[str, Any]:
    """Return the arguments of the config class in transformers."""
    positions = config.rope.for_transformers()
    if config.local_rope:
        positions = {FULL: positions, SLIDING: config.local_rope.for_transformers()}
    values = {**config.plain, "rope_parameters": positions}
    values.pop("architectures")
    values["pad_token_id"] = None  # Its row of the embedding matters in training alone.
    return values


def for_mlx(config: DecoderConfig) -> dict[str, Any]:
    """Return the config for mlx-lm, in the keys that it reads.

    It differs from that of transformers: mlx-lm ignores `rope_parameters` and uses a base of
        10,000,
    ties embeddings by default, and reads a sliding window only with `layer_types`.

    Raises:
        IntegrityError: mlx-lm does not support the activation or the RoPE scaling.
    """
    traits = config.traits
    if _same(config.hidden_act) != _same(traits.activation):
        raise _unknown("mlx", f"the activation '{config.hidden_act}' ({traits.activation_key})")
    try:
        scaling = config.rope.for_mlx()
        local = config.local_rope and config.local_rope.for_mlx()
    except ValueError as error:
        raise IntegrityError(f"mlx does not support this config: {error}") from error
    converted = {**config.plain, "rope_theta": config.rope.theta, "rope_scaling": scaling}
    if config.local_rope:
        if local:
            raise _unknown(
                "mlx", f"RoPE scaling '{config.local_rope.kind}' of layers with a window"
            )
        converted["rope_local_base_freq"] = config.local_rope.theta
    if any(config.sliding):
        converted["layer_types"] = config.layer_types
    return converted


def mlx_must_read(config: DecoderConfig) -> list[str]:
    """The keys of `for_mlx` that change what the model computes; an mlx-lm class may lack them."""
    needed = {
        "rope_scaling": config.rope.kind != "default",
        "rope_local_base_freq": config.local_rope is not None,
        "sliding_window": any(config.sliding),
        QUERY_SCALAR: config.query_pre_attn_scalar not in (None, config.head_dim),
        **{key: getattr(config, key) is not None for key in (ATTENTION_CAP, LOGIT_CAP)},
        **config.switches,
    }
    return [key for key, on in needed.items() if on and key != config.traits.window_switch]


def for_coreml(config: DecoderConfig, context: int | None) -> DecoderSpec:
    """Return the specification of the decoder for Core ML.

    Args:
        config: the architecture.
        context: context length in tokens, from the recipe; `None` for `max_position_embeddings`.

    Raises:
        IntegrityError: Core ML builds do not support the activation or the RoPE scaling.
    """
    key = config.traits.activation_key
    if config.hidden_act not in ACTIVATIONS:
        raise _unknown("coreml", f"the activation '{config.hidden_act}' ({key})")
    if config.rope.kind not in COREML_ROPES:
        raise _unknown("coreml", f"this config: RoPE scaling '{config.rope.kind}'")
    if config.local_rope and config.local_rope.kind != "default":
        kind = config.local_rope.kind
        raise _unknown("coreml", f"RoPE scaling '{kind}' of layers with a window")
    spec = decoder_spec(config, context or config.max_position_embeddings)
    return replace(spec, activation=ACTIVATIONS[config.hidden_act])


def decoder_spec(config: DecoderConfig, context: int) -> DecoderSpec:
    """The sizes and the tensors of a decoder, whatever its activation."""
    heads, shared = config.num_attention_heads, config.num_key_value_heads
    mixed = any(config.sliding) and not all(config.sliding)
    names = replace(
        FOUR_NORMS if config.traits.post_norms else NAMES,
        head=None if config.tie_word_embeddings else NAMES.head,
        qk_norms=QK_NORMS if config.traits.qk_norms else (),
        biased=tuple(map(_weight, config.biased)),
    )
    scalar = config.query_pre_attn_scalar
    rope = config.rope
    return DecoderSpec(
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        head_dim=config.head_dim,
        layers=tuple(
            LayerSpec(heads, shared, config.intermediate_size, full=mixed and not sliding)
            for sliding in config.sliding
        ),
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
        window=config.sliding_window if any(config.sliding) else None,
        local_rope_theta=config.local_rope.theta if config.local_rope else None,
        norm_offset=1.0 if config.traits.norm_plus_one else 0.0,
        embedding_scale=config.hidden_size**0.5 if config.traits.scaled_embedding else 1.0,
        attention_scale=None if scalar is None else scalar**-0.5,
        attention_cap=config.attn_logit_softcapping,
        logit_cap=config.final_logit_softcapping,
    )


def _same(activation: str) -> str:
    """One name for an activation that transformers has by several."""
    return ACTIVATIONS.get(activation, activation)


def _weight(part: str) -> str:
    """The weight of one of `PARTS`."""
    half = "self_attn" if part in "qkvo" else "mlp"
    return f"{LAYER}.{half}.{part}_proj.weight"


def _unknown(format: str, what: str) -> IntegrityError:
    return IntegrityError(f"{format} does not support {what}", HINT, in_python=IN_PYTHON)
