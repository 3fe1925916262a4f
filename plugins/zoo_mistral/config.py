"""The config.json of a Mistral checkpoint, read whole: every key is used, harmless, or refused.

What a missing key means, and which spelling goes before another, is as in `MistralConfig` of
transformers 5 (https://huggingface.co/docs/transformers/model_doc/mistral#transformers.MistralConfig).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import Tensors, read_config
from zoo.formats.coreml import DecoderSpec, LayerSpec, TensorNames
from zoo_mistral.rope import Rope, read_rope

REQUIRED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rms_norm_eps",
)
LARGEST = 2**31 - 1

ACTIVATIONS = (
    "silu", "swish", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu",
    "relu2", "mish", "tanh", "sigmoid",
)  # fmt: skip

FIXED: dict[str, tuple[object, ...]] = {
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "rope_traditional": (False,),
    "partial_rotary_factor": (1, 1.0),
}
"""Keys of related models, and the values at which they change nothing."""

HARMLESS = frozenset((
    "architectures", "attention_dropout", "dtype", "torch_dtype", "initializer_range",
    "use_cache", "use_bfloat16", "transformers_version", "model_type", "return_dict",
    "output_attentions", "output_hidden_states", "torchscript", "is_decoder",
    "tie_encoder_decoder", "cross_attention_hidden_size", "chunk_size_feed_forward",
    "pruned_heads", "max_length", "min_length", "do_sample", "early_stopping", "num_beams",
    "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores",
    "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id",
    "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
    "begin_suppress_tokens", "finetuning_task", "id2label", "label2id", "tokenizer_class",
    "prefix", "sep_token_id", "unk_token_id", "decoder_start_token_id", "task_specific_params",
    "problem_type", "tf_legacy_loss", "pretraining_tp", "attn_implementation",
    "experts_implementation", "use_kernels", "trust_remote_code", "custom_generate",
    "unsloth_version", "unsloth_fixed", "unsloth_training", "quantization",
    "quantization_config", "model_max_length", "tokenizer_model_max_length",
    "tokenizer_padding_side", "max_sequence_length",
))  # fmt: skip
"""Keys that say how a model was trained, is saved, or chooses tokens where nobody says how.

zoo has options of its own for sampling, keeps no code or kernel that a config asks for, and stores
what the weights are stored as. Keys that begin with an underscore are notes of transformers.
"""

TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")

IGNORED = ("rotary_emb.inv_freq",)
"""Endings of tensors that older checkpoints have, and that follow from the config."""

NAMES = TensorNames(
    embedding="model.embed_tokens.weight",
    norm="model.norm.weight",
    head="lm_head.weight",
    attention_norm="model.layers.{layer}.input_layernorm.weight",
    qkv=tuple(f"model.layers.{{layer}}.self_attn.{part}_proj.weight" for part in "qkv"),
    output="model.layers.{layer}.self_attn.o_proj.weight",
    ffn_norm="model.layers.{layer}.post_attention_layernorm.weight",
    gate_up=tuple(f"model.layers.{{layer}}.mlp.{part}_proj.weight" for part in ("gate", "up")),
    down="model.layers.{layer}.mlp.down_proj.weight",
)


@dataclass(frozen=True)
class MistralConfig:
    """The architecture of one checkpoint, in the keys of transformers.

    Attributes:
        rope: the rotary positions.
        tokens: the ids of the tokens that begin, end and fill a text, as far as they are given.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    hidden_act: str
    max_position_embeddings: int
    sliding_window: int | None
    tie_word_embeddings: bool
    rope: Rope
    tokens: Mapping[str, Any]

    @property
    def plain(self) -> dict[str, Any]:
        """The keys that transformers and mlx-lm spell alike, for a config.json of zoo's own."""
        apart = ("rope", "tokens")
        sizes = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}
        return {
            "model_type": "mistral",
            "architectures": ["MistralForCausalLM"],
            **sizes,
            **self.tokens,
        }


def read_mistral_config(folder: Path) -> MistralConfig:
    """The config of the checkpoint in `folder`, whose weights are those that it describes.

    Raises:
        zoo.IntegrityError: it is unreadable, incomplete, says what zoo does not know, or is of
            another architecture; tensors are missing, unknown, or of another shape.
    """
    data = read_config(folder)
    try:
        config = parse_config(data)
    except ValueError as error:
        raise zoo.IntegrityError(f"{folder / 'config.json'}: {error}") from error
    tensors = Tensors(folder)
    if config.num_hidden_layers > len(tensors.shapes):
        raise zoo.IntegrityError(
            f"{folder / 'config.json'} has {config.num_hidden_layers} layers, and the weights have "
            f"{len(tensors.shapes)} tensors"
        )
    config = replace(config, tie_word_embeddings=_tied(config, tensors))
    spare = () if NAMES.head in config_shapes(config) else (str(NAMES.head),)
    tensors.require(config_shapes(config), (*IGNORED, *spare))
    return config


def config_shapes(config: MistralConfig) -> dict[str, tuple[int, ...]]:
    """The name and the shape of every tensor of the checkpoint."""
    return _decoder(config, context=1).shapes


def parse_config(data: Mapping[str, Any]) -> MistralConfig:
    """The architecture that a config.json describes.

    Raises:
        ValueError: it is incomplete, contradictory, or says what zoo does not know.
    """
    if data.get("model_type") != "mistral":
        raise ValueError(f"it is of the model type {data.get('model_type')!r}, not 'mistral'")
    if missing := [key for key in REQUIRED if key not in data]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    _require_known(data)
    heads = _count(data, "num_attention_heads")
    shared = heads if data["num_key_value_heads"] is None else _count(data, "num_key_value_heads")
    if heads % shared:
        raise ValueError(f"{heads} attention heads do not share {shared} key heads")
    width = _count(data, "hidden_size")
    head_dim = width // heads if data.get("head_dim") is None else _count(data, "head_dim")
    if head_dim < 2 or head_dim % 2:
        raise ValueError(f"head_dim must be even and above 0, not {head_dim}")
    activation = data.get("hidden_act", "silu")
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"hidden_act {activation!r} is not known; zoo knows {', '.join(ACTIVATIONS)}"
        )
    positions = _count(data, "max_position_embeddings", 131072)
    window = data.get("sliding_window", 4096)
    layers = _count(data, "num_hidden_layers")
    if window is not None:
        window = _count(data, "sliding_window", 4096)
    _require_layer_types(data.get("layer_types"), layers, window)
    return MistralConfig(
        vocab_size=_count(data, "vocab_size"),
        hidden_size=width,
        intermediate_size=_count(data, "intermediate_size"),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        head_dim=head_dim,
        rms_norm_eps=_positive(data, "rms_norm_eps"),
        hidden_act=activation,
        max_position_embeddings=positions,
        sliding_window=window,
        tie_word_embeddings=_flag(data, "tie_word_embeddings"),
        rope=read_rope(data, head_dim, positions),
        tokens={key: _token(data, key) for key in TOKENS if key in data},
    )


def for_transformers(config: MistralConfig) -> dict[str, Any]:
    """The values from which transformers makes its `MistralConfig`."""
    values = {**config.plain, "rope_parameters": config.rope.for_transformers()}
    values.pop("architectures")
    values["pad_token_id"] = None  # Its row of the embedding matters in training alone.
    return values


def for_mlx(config: MistralConfig) -> dict[str, Any]:
    """The config in the keys that mlx-lm reads, where it differs from transformers.

    mlx-lm does not know `rope_parameters` and falls back to a base of 10,000; it ties embeddings
    unless the config says otherwise; and it takes a sliding window only from `layer_types`.

    Raises:
        zoo.IntegrityError: an activation or a way of scaling positions that mlx-lm does not have.
    """
    _require_silu(config, "mlx")
    try:
        scaling = config.rope.for_mlx()
    except ValueError as error:
        raise zoo.IntegrityError(f"mlx does not know this config: {error}") from error
    converted = {**config.plain, "rope_theta": config.rope.theta, "rope_scaling": scaling}
    if config.sliding_window:
        converted["layer_types"] = ["sliding_attention"] * config.num_hidden_layers
    return converted


def for_coreml(config: MistralConfig, context: int | None) -> DecoderSpec:
    """The decoder that the config describes, with room for as many tokens as it was trained on.

    Args:
        config: a Mistral's.
        context: what the recipe says, over the config's `max_position_embeddings`.

    Raises:
        zoo.IntegrityError: an activation or a way of scaling positions that the decoder does not
            have.
    """
    _require_silu(config, "coreml")
    if config.rope.kind not in ("default", "linear"):
        raise zoo.IntegrityError(
            f"coreml does not know this config: positions scaled by '{config.rope.kind}'",
            "choose another format, such as --format torch",
        )
    return _decoder(config, context or config.max_position_embeddings)


def _decoder(config: MistralConfig, context: int) -> DecoderSpec:
    layer = LayerSpec(
        config.num_attention_heads, config.num_key_value_heads, config.intermediate_size
    )
    return DecoderSpec(
        vocabulary=config.vocab_size,
        width=config.hidden_size,
        head_dim=config.head_dim,
        layers=(layer,) * config.num_hidden_layers,
        names=replace(NAMES, head=None) if config.tie_word_embeddings else NAMES,
        eps=config.rms_norm_eps,
        rope_theta=config.rope.theta,
        rope_factor=config.rope.parameters.get("factor", 1.0),
        context=context,
        window=config.sliding_window,
    )


def _tied(config: MistralConfig, tensors: Tensors) -> bool:
    """Whether the head is the embedding; one that differs is a head of its own."""
    if not config.tie_word_embeddings or str(NAMES.head) not in tensors.shapes:
        return config.tie_word_embeddings
    import numpy as np

    head, embedding = tensors.read(str(NAMES.head)), tensors.read(NAMES.embedding)
    return bool(np.array_equal(head, embedding))


def _require_silu(config: MistralConfig, format: str) -> None:
    if config.hidden_act not in ("silu", "swish"):
        raise zoo.IntegrityError(
            f"{format} does not know the activation '{config.hidden_act}' (hidden_act)",
            "choose another format, such as --format torch",
        )


def _require_known(data: Mapping[str, Any]) -> None:
    read = {field.name for field in fields(MistralConfig)} | set(TOKENS)
    read |= {"rope_theta", "rope_scaling", "rope_parameters", "layer_types"}
    for key, value in data.items():
        if key in FIXED:
            if value is not None and value not in FIXED[key]:
                raise ValueError(f"{key} is {value!r}, which is not known for a Mistral")
        elif key in read or key in HARMLESS or key.startswith("_"):
            continue
        elif value not in (None, False, "", [], {}):
            raise ValueError(
                f"it has {key[:80]!r}, which zoo does not know; remove it if it says nothing "
                "about the architecture"
            )


def _require_layer_types(kinds: Any, layers: int, window: int | None) -> None:
    wanted = "sliding_attention" if window else "full_attention"
    if kinds is not None and kinds != [wanted] * layers:
        raise ValueError(
            f"layer_types must be '{wanted}' for each of {layers} layers; a mixture is another "
            "architecture (ministral)"
        )


def _count(data: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = data.get(key, default)
    if type(value) is not int or not 1 <= value <= LARGEST:
        raise ValueError(f"{key} must be a whole number above 0, not {_short(value)}")
    return value


def _positive(data: Mapping[str, Any], key: str) -> float:
    value = data[key]
    if type(value) not in (int, float) or not isfinite(value) or not 0 < value <= 1:
        raise ValueError(f"{key} must be a number above 0 and at most 1, not {_short(value)}")
    return float(value)


def _flag(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, not {_short(value)}")
    return value


def _token(data: Mapping[str, Any], key: str) -> Any:
    value = data[key]
    ids = value if isinstance(value, list) and key == "eos_token_id" else [value]
    if value is not None and not all(type(i) is int and -1 <= i <= LARGEST for i in ids):
        raise ValueError(f"{key} must be a token's id, not {_short(value)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
