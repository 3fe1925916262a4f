"""The config.json of an OpenELM checkpoint, and the weights that it promises.

OpenELM gives each layer its own number of heads and its own width (https://arxiv.org/abs/2404.14619,
section 2.1). A config says so by one value for each layer, or by the two multipliers between which
the layers lie, as in `corenet/modeling/models/language_modeling/general_gpt.py` of apple/corenet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import Tensors, read_json

POSITIVE = ("vocab_size", "num_transformer_layers", "model_dim", "head_dim")
FIXED = {
    "model_type": ("openelm",),
    "activation_fn_name": ("swish", "silu"),
    "normalization_layer_name": ("rms_norm",),
    "ffn_with_glu": (True,),
}
"""What other values of these keys would mean is in no published model, and not implemented."""


@dataclass(frozen=True)
class OpenELMConfig:
    """The architecture of one checkpoint, with one entry for each layer in every tuple.

    Attributes:
        query_heads, kv_heads: heads of the queries, and of the keys and of the values.
        ffn_multipliers: width of the feed-forward part, in multiples of `model_dim`.
        ffn_widths: the same in units, rounded to multiples of `ffn_dim_divisor`.
        qk_norm: whether queries and keys are normalized, each head by itself.
        tied: whether the embeddings are the output's weights too.
        context: most tokens that it was trained on at once.
        bos: the token with which every text begins.
    """

    vocab_size: int
    model_dim: int
    head_dim: int
    query_heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    ffn_multipliers: tuple[float, ...]
    ffn_dim_divisor: int
    rms_norm_eps: float
    rope_base: float
    qk_norm: bool
    tied: bool
    context: int
    bos: int

    @property
    def layers(self) -> int:
        return len(self.query_heads)

    @property
    def ffn_widths(self) -> tuple[int, ...]:
        return tuple(
            make_divisible(multiplier * self.model_dim, self.ffn_dim_divisor)
            for multiplier in self.ffn_multipliers
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and the shape of every weight, as they are on the Hub."""
        dim, head = self.model_dim, self.head_dim
        shapes: dict[str, tuple[int, ...]] = {
            "transformer.token_embeddings.weight": (self.vocab_size, dim),
            "transformer.norm.weight": (dim,),
        }
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocab_size, dim)
        per_layer = zip(self.query_heads, self.kv_heads, self.ffn_widths, strict=True)
        for number, (queries, keys, width) in enumerate(per_layer):
            layer = {
                "attn_norm": (dim,),
                "attn.qkv_proj": ((queries + 2 * keys) * head, dim),
                "attn.out_proj": (dim, queries * head),
                "ffn_norm": (dim,),
                "ffn.proj_1": (2 * width, dim),
                "ffn.proj_2": (dim, width),
            }
            if self.qk_norm:
                layer |= {"attn.q_norm": (head,), "attn.k_norm": (head,)}
            for name, shape in layer.items():
                shapes[f"transformer.layers.{number}.{name}.weight"] = shape
        return shapes

    @property
    def parameters(self) -> int:
        return sum(map(prod, self.shapes.values()))


def plain_config(folder: Path) -> dict[str, Any]:
    """The config.json in `folder` without its `auto_map`.

    zoo refuses other checkpoints with an `auto_map`: it names Python files beside the weights, and
    zoo runs no code from a source. Every published OpenELM has one, since transformers has no
    OpenELM. Here the entry can be dropped instead, because this package has an implementation of
    its own: nothing reads the files that it names.

    Raises:
        zoo.IntegrityError: it is unreadable.
    """
    data = read_json(folder / "config.json")
    data.pop("auto_map", None)
    return data


def read_openelm_config(folder: Path) -> OpenELMConfig:
    """The config of the checkpoint in `folder`.

    Raises:
        zoo.IntegrityError: it is unreadable, incomplete, contradictory, or of another architecture.
    """
    data = plain_config(folder)
    try:
        return parse_config(data)
    except ValueError as error:
        raise zoo.IntegrityError(f"{folder / 'config.json'}: {error}") from error


def parse_config(data: Mapping[str, Any]) -> OpenELMConfig:
    """The architecture that a config.json describes.

    Raises:
        ValueError: it is incomplete, contradictory, or of another architecture.
    """
    for key, known in FIXED.items():
        if data.get(key, known[0]) not in known:
            raise ValueError(f"{key} is {data[key]!r}; of an OpenELM, it must be {known[0]!r}")
    vocab_size, layers, model_dim, head_dim = (_positive(data, key) for key in POSITIVE)
    if head_dim % 2:
        raise ValueError(f"head_dim must be even, not {head_dim}")
    bos = data.get("bos_token_id", 1)
    if bos not in range(vocab_size):
        raise ValueError(f"bos_token_id must be below {vocab_size}, not {bos!r}")
    query_heads, kv_heads = _heads(data, layers, model_dim, head_dim)
    return OpenELMConfig(
        vocab_size=vocab_size,
        model_dim=model_dim,
        head_dim=head_dim,
        query_heads=query_heads,
        kv_heads=kv_heads,
        ffn_multipliers=_multipliers(data, "ffn_multipliers", layers),
        ffn_dim_divisor=_positive(data, "ffn_dim_divisor", 256),
        rms_norm_eps=_number(data, "rms_norm_eps", 1e-6),
        rope_base=_number(data, "rope_freq_constant", 10_000),
        qk_norm=_flag(data, "normalize_qk_projections"),
        tied=_flag(data, "share_input_output_layers"),
        context=_positive(data, "max_context_length", 2048),
        bos=bos,
    )


def make_divisible(value: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to `value`, but never below 90 % of it."""
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * value else nearest + divisor


def check_weights(folder: Path, config: OpenELMConfig) -> list[Path]:
    """The safetensors in `folder`, found to hold every weight in its shape, and no others.

    Raises:
        zoo.IntegrityError: what is missing, unknown, or of another shape.
    """
    tensors = Tensors(folder)
    tensors.require(config.shapes)
    return tensors.files


def _heads(
    data: Mapping[str, Any], layers: int, model_dim: int, head_dim: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Heads of queries, and of keys and values, in each layer: as listed, or derived."""
    if "num_query_heads" in data:
        queries = _listed(data, "num_query_heads", layers)
    else:
        step = head_dim * _positive(data, "num_gqa_groups", 1)
        queries = tuple(
            make_divisible(model_dim * multiplier, step) // head_dim
            for multiplier in _multipliers(data, "qkv_multipliers", layers)
        )
    if "num_kv_heads" in data:
        keys = _listed(data, "num_kv_heads", layers)
    else:
        keys = tuple(count // _positive(data, "num_gqa_groups", 1) for count in queries)
    for number, (query, key) in enumerate(zip(queries, keys, strict=True)):
        if key < 1 or query % key:
            raise ValueError(f"{query} query heads of layer {number} do not share {key} key heads")
    return queries, keys


def _listed(data: Mapping[str, Any], key: str, layers: int) -> tuple[int, ...]:
    values = data[key]
    if not isinstance(values, list) or len(values) != layers:
        raise ValueError(f"{key} must have one entry for each of {layers} layers, not {values!r}")
    return tuple(_positive({key: value}, key) for value in values)


def _multipliers(data: Mapping[str, Any], key: str, layers: int) -> tuple[float, ...]:
    """One multiplier for each layer: as listed, all the same, or evenly from first to last."""
    value = data.get(key)
    values = value if isinstance(value, list) else [value] * layers
    numbers = tuple(_number({key: v}, key) for v in values)
    if len(numbers) == layers:
        return numbers
    if len(numbers) != 2:
        raise ValueError(f"{key} must be a number, two, or one for each of {layers} layers")
    first, last = numbers
    step = (last - first) / max(layers - 1, 1)
    return tuple(round(first + step * number, 2) for number in range(layers))


def _positive(data: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = data.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} must be a whole number above 0, not {value!r}")
    return value


def _number(data: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = data.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
        raise ValueError(f"{key} must be a number above 0, not {value!r}")
    return float(value)


def _flag(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, not {value!r}")
    return value
