"""Read the config.json of a decoder: each key is used, known to change nothing, or rejected.

The defaults and the precedence of spellings are those of the config classes of transformers 5
(https://huggingface.co/docs/transformers/main_classes/configuration).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from zoo.decoders.rope import Rope, read_local_rope, read_rope
from zoo.decoders.traits import (
    ACTIVATIONS,
    FULL,
    PARTS,
    QUERY_SCALAR,
    SCALARS,
    SLIDING,
    Traits,
)
from zoo.decoders.values import count, flag, number, share, short, token

REQUIRED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rms_norm_eps",
)
FIXED: dict[str, tuple[object, ...]] = {
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
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
    "tokenizer_padding_side", "max_sequence_length", "cache_implementation",
))  # fmt: skip
"""Keys that say how a model was trained, is saved, or chooses tokens where nobody says how.

zoo has options of its own for sampling, keeps no code or kernel that a config asks for, and stores
what the weights are stored as. Keys that begin with an underscore are notes of transformers.
"""

TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True)
class DecoderConfig:
    """The architecture of a checkpoint. Other attributes are config keys of transformers.

    Attributes:
        traits: the declaration of its family.
        hidden_act: activation of the gate, whichever key the config uses.
        sliding_window: number of tokens that layers with a window attend to, the newest included;
            `None` for all.
        sliding: whether each layer has the window.
        rope: the rotary position embeddings.
        local_rope: those of layers with a window, if they differ.
        biased: the linear layers that have biases: `q`, `k`, `v`, `o`, `gate`, `up` and `down`.
        switches: the config keys that turn on biases and the window, to their values.
        tokens: `bos_token_id`, `eos_token_id` and `pad_token_id`, as far as the config has them.
    """

    traits: Traits
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
    query_pre_attn_scalar: float | None
    attn_logit_softcapping: float | None
    final_logit_softcapping: float | None
    sliding: tuple[bool, ...]
    rope: Rope
    local_rope: Rope | None
    biased: tuple[str, ...]
    switches: Mapping[str, bool]
    tokens: Mapping[str, Any]

    @property
    def layer_types(self) -> list[str]:
        """The attention of each layer, as `layer_types` in transformers."""
        return [SLIDING if sliding else FULL for sliding in self.sliding]

    @property
    def plain(self) -> dict[str, Any]:
        """The config keys that are the same in transformers and mlx-lm."""
        traits = self.traits
        sizes = {name: getattr(self, name) for name in _own(traits)}
        sizes[traits.activation_key] = self.hidden_act
        if traits.full_layers:
            sizes["layer_types"] = self.layer_types
        return {
            "model_type": traits.model_type,
            "architectures": [traits.architecture],
            **sizes,
            **self.switches,
            **self.tokens,
        }


APART = ("traits", "hidden_act", "sliding", "rope", "local_rope", "biased", "switches", "tokens")
SIZES = tuple(f.name for f in fields(DecoderConfig) if f.name not in APART)
"""The attributes that are keys of transformers and of mlx-lm alike."""


def _own(traits: Traits) -> list[str]:
    """Those of `SIZES` that configs of the family have."""
    absent = {key for key in SCALARS if key not in traits.scalars}
    if not traits.windowed:
        absent.add("sliding_window")
    return [key for key in SIZES if key not in absent]


def parse_config(traits: Traits, data: Mapping[str, Any]) -> DecoderConfig:
    """Parse a config.json.

    Args:
        traits: the declaration of the family.
        data: the config.

    Raises:
        ValueError: the config is incomplete or contradictory, or has a key or value that is not
            supported.
    """
    if data.get("model_type") != traits.model_type:
        raise ValueError(f"its model_type is {data.get('model_type')!r}, not '{traits.model_type}'")
    if missing := [key for key in REQUIRED if key not in data]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    _require_known(traits, data)
    heads = count(data, "num_attention_heads")
    shared = heads if data["num_key_value_heads"] is None else count(data, "num_key_value_heads")
    if heads % shared:
        raise ValueError(f"{heads} attention heads do not share {shared} key heads")
    width = count(data, "hidden_size")
    head_dim = width // heads if data.get("head_dim") is None else count(data, "head_dim")
    if head_dim < 2 or head_dim % 2:
        raise ValueError(f"head_dim must be even and above 0, not {head_dim}")
    positions = count(data, "max_position_embeddings", traits.positions)
    layers = count(data, "num_hidden_layers")
    window = _window(traits, data)
    switches = {key: flag(data, key) for key in traits.biases if key}
    biased = {part for key, on in {"": True, **switches}.items() if on
              for part in traits.biases.get(key, ())}  # fmt: skip
    if traits.window_switch:
        switches[traits.window_switch] = window is not None
    return DecoderConfig(
        traits=traits,
        vocab_size=count(data, "vocab_size"),
        hidden_size=width,
        intermediate_size=count(data, "intermediate_size"),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        head_dim=head_dim,
        rms_norm_eps=share(data, "rms_norm_eps"),
        hidden_act=_activation(traits, data),
        max_position_embeddings=positions,
        sliding_window=window,
        tie_word_embeddings=flag(data, "tie_word_embeddings", traits.tied),
        **{key: _scalar(traits, data, key) for key in SCALARS},
        sliding=_sliding(traits, data, layers, window),
        rope=read_rope(data, head_dim, positions, traits.theta, nested=bool(traits.local_theta)),
        local_rope=read_local_rope(data, head_dim, positions, traits.local_theta),
        biased=tuple(part for part in PARTS if part in biased),
        switches=switches,
        tokens={key: token(data, key) for key in TOKENS if key in data},
    )


def _require_known(traits: Traits, data: Mapping[str, Any]) -> None:
    read = {*_own(traits), *TOKENS, *traits.biases, *traits.harmless, str(traits.window_switch)}
    read |= {"hidden_act", traits.activation_key}
    read |= {"rope_theta", "rope_scaling", "rope_parameters", "layer_types"}
    if traits.full_layers and traits.full_layers.key:
        read.add(traits.full_layers.key)
    if traits.local_theta:
        read.add("rope_local_base_freq")
    for key, value in data.items():
        if key in FIXED and key not in read:
            if value is not None and value not in FIXED[key]:
                raise ValueError(
                    f"{key} is {value!r}, which is not supported for the type '{traits.model_type}'"
                )
        elif key in read or key in HARMLESS or key.startswith("_"):
            continue
        elif value not in (None, False, "", [], {}):
            raise ValueError(
                f"it has {key[:80]!r}, which zoo does not support; remove it if it does not "
                "affect the architecture"
            )


def _activation(traits: Traits, data: Mapping[str, Any]) -> str:
    key = traits.activation_key
    value = data.get(key, traits.activation)
    if value not in ACTIVATIONS:
        raise ValueError(f"{key} {value!r} is not supported; zoo supports {', '.join(ACTIVATIONS)}")
    return str(value)


def _scalar(traits: Traits, data: Mapping[str, Any], key: str) -> float | None:
    if key not in traits.scalars:
        return None
    default = traits.scalars[key]
    if data.get(key, default) is None and key != QUERY_SCALAR:
        return None
    value = number(data, key, default)
    return int(value) if value.is_integer() and key == QUERY_SCALAR else value


def _window(traits: Traits, data: Mapping[str, Any]) -> int | None:
    if data.get("sliding_window", traits.window) is None:
        return None
    window = count(data, "sliding_window", traits.window) if traits.windowed else None
    if traits.window_switch and not flag(data, traits.window_switch):
        return None
    return window


def _sliding(
    traits: Traits, data: Mapping[str, Any], layers: int, window: int | None
) -> tuple[bool, ...]:
    """For each layer, whether it has the window."""
    kinds = data.get("layer_types")
    if window and traits.full_layers:
        if kinds is None:
            return tuple(not full for full in traits.full_layers.among(layers, data))
        known = isinstance(kinds, list) and all(kind in (SLIDING, FULL) for kind in kinds)
        if not known or len(kinds) != layers:
            raise ValueError(
                f"layer_types must be '{SLIDING}' or '{FULL}' for each of {layers} layers, not "
                f"{short(kinds)}"
            )
        return tuple(kind == SLIDING for kind in kinds)
    wanted = SLIDING if window else FULL
    if kinds is not None and kinds != [wanted] * layers:
        raise ValueError(
            f"layer_types must be '{wanted}' for each of {layers} layers"
            + (
                "; a mixture is another architecture (ministral)"
                if window
                else ", since there is no sliding_window"
                if traits.windowed
                else ""
            )
        )
    return (window is not None,) * layers
