"""The config.json of a decoder, read whole: every key is used, harmless, or refused.

What a missing key means, and which spelling goes before another, is as in the config classes of
transformers 5 (https://huggingface.co/docs/transformers/main_classes/configuration).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from zoo.decoders.rope import Rope, read_rope

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
    "tokenizer_padding_side", "max_sequence_length",
))  # fmt: skip
"""Keys that say how a model was trained, is saved, or chooses tokens where nobody says how.

zoo has options of its own for sampling, keeps no code or kernel that a config asks for, and stores
what the weights are stored as. Keys that begin with an underscore are notes of transformers.
"""

TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")

PARTS = ("q", "k", "v", "o", "gate", "up", "down")
"""The linear layers of a layer, as transformers calls them: `q_proj` and so on."""


@dataclass(frozen=True)
class Traits:
    """What tells a family of decoders from others of its kind.

    Attributes:
        model_type: as in its `config.json`.
        architecture: the class in transformers, such as `LlamaForCausalLM`.
        biases: for each key of the config that says whether there are biases, the layers that have
            them, of `PARTS`. The key `""` is for layers that always have them.
        qk_norms: whether queries and keys are normalized, each head by itself.
        window: the sliding window of a config that does not say; `None` for none. Families that
            never have a window have `windowed` false.
        windowed: whether a config can have a sliding window.
        window_switch: the key that says whether the window counts, as `use_sliding_window`.
        tied: whether the head is the embedding, where a config does not say.
        positions: `max_position_embeddings` of a config that does not say.
        harmless: keys of the config that change nothing here.
    """

    model_type: str
    architecture: str
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    qk_norms: bool = False
    window: int | None = None
    windowed: bool = False
    window_switch: str | None = None
    tied: bool = False
    positions: int = 2048
    harmless: tuple[str, ...] = ()


@dataclass(frozen=True)
class DecoderConfig:
    """The architecture of one checkpoint, in the keys of transformers.

    Attributes:
        traits: of its family.
        rope: the rotary positions.
        biased: the layers that have biases, of `PARTS`.
        switches: the keys of the config that say so, with their values.
        tokens: the ids of the tokens that begin, end and fill a text, as far as they are given.
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
    rope: Rope
    biased: tuple[str, ...]
    switches: Mapping[str, bool]
    tokens: Mapping[str, Any]

    @property
    def plain(self) -> dict[str, Any]:
        """The keys that transformers and mlx-lm spell alike, for a config.json of zoo's own."""
        sizes = {name: getattr(self, name) for name in SIZES}
        if not self.traits.windowed:
            del sizes["sliding_window"]
        return {
            "model_type": self.traits.model_type,
            "architectures": [self.traits.architecture],
            **sizes,
            **self.switches,
            **self.tokens,
        }


APART = ("traits", "rope", "biased", "switches", "tokens")
SIZES = tuple(f.name for f in fields(DecoderConfig) if f.name not in APART)
"""The attributes that are keys of transformers and of mlx-lm alike."""


def parse_config(traits: Traits, data: Mapping[str, Any]) -> DecoderConfig:
    """The architecture that a config.json describes.

    Args:
        traits: of the family.
        data: the config.

    Raises:
        ValueError: it is incomplete, contradictory, or says what zoo does not know.
    """
    if data.get("model_type") != traits.model_type:
        raise ValueError(
            f"it is of the model type {data.get('model_type')!r}, not '{traits.model_type}'"
        )
    if missing := [key for key in REQUIRED if key not in data]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    _require_known(traits, data)
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
            f"hidden_act {activation!r} is not supported; zoo supports {', '.join(ACTIVATIONS)}"
        )
    positions = _count(data, "max_position_embeddings", traits.positions)
    window = data.get("sliding_window", traits.window)
    layers = _count(data, "num_hidden_layers")
    if window is not None:
        window = _count(data, "sliding_window", traits.window)
    if not traits.windowed or (traits.window_switch and not _flag(data, traits.window_switch)):
        window = None
    switches = {key: _flag(data, key) for key in traits.biases if key}
    biased = {part for key, on in {"": True, **switches}.items() if on
              for part in traits.biases.get(key, ())}  # fmt: skip
    _require_layer_types(data.get("layer_types"), layers, window)
    return DecoderConfig(
        traits=traits,
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
        tie_word_embeddings=_flag(data, "tie_word_embeddings", traits.tied),
        rope=read_rope(data, head_dim, positions),
        biased=tuple(part for part in PARTS if part in biased),
        switches=switches,
        tokens={key: _token(data, key) for key in TOKENS if key in data},
    )


def _require_known(traits: Traits, data: Mapping[str, Any]) -> None:
    read = {*SIZES, *TOKENS, *traits.biases, *traits.harmless, str(traits.window_switch)}
    read |= {"rope_theta", "rope_scaling", "rope_parameters", "layer_types"}
    if not traits.windowed:
        read.discard("sliding_window")
    for key, value in data.items():
        if key in FIXED and key not in read:
            if value is not None and value not in FIXED[key]:
                raise ValueError(
                    f"{key} is {value!r}, which is not known for the type '{traits.model_type}'"
                )
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


def _flag(data: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, not {_short(value)}")
    return value


def _token(data: Mapping[str, Any], key: str) -> Any:
    value = data[key]
    ids = value if isinstance(value, list) and key == "eos_token_id" else [value]
    if value is not None and not all(type(i) is int and -1 <= i <= LARGEST for i in ids):
        raise ValueError(f"{key} must be a token id, not {_short(value)}")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
