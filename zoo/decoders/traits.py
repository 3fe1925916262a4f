"""What tells a family of decoders from others of its kind, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.decoders.values import count, short

PARTS = ("q", "k", "v", "o", "gate", "up", "down")
"""The linear layers of a layer, as transformers calls them: `q_proj` and so on."""

QUERY_SCALAR, ATTENTION_CAP, LOGIT_CAP = SCALARS = (
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "final_logit_softcapping",
)
"""Numbers that the configs of some families have."""

SLIDING, FULL = "sliding_attention", "full_attention"
"""The values of `layer_types`."""

ACTIVATIONS = (
    "silu", "swish", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu",
    "relu2", "mish", "tanh", "sigmoid",
)  # fmt: skip


@dataclass(frozen=True)
class FullLayers:
    """The layers without a window, in a config without `layer_types`, whose other layers have one.

    Attributes:
        every: each layer of this number, such as the 6th, the 12th and so on; 0 for none.
        first: this many at the beginning.
        key: the key of the config with another such number.
    """

    every: int = 0
    first: int = 0
    key: str | None = None

    def among(self, layers: int, data: Mapping[str, Any]) -> tuple[bool, ...]:
        """For each of so many layers, whether it has no window.

        Raises:
            ValueError: the value of the key is not a number of layers.
        """
        every, first = self.every, self.first
        if self.key and self.key in data:
            every = count(data, self.key) if every else 0
            first = 0 if every else count(data, self.key, least=0)
        if every:
            return tuple((number + 1) % every == 0 for number in range(layers))
        return tuple(number < first for number in range(layers))


@dataclass(frozen=True)
class Traits:
    """What tells a family of decoders from others of its kind.

    Attributes:
        model_type: as in its `config.json`.
        architecture: the class in transformers, such as `LlamaForCausalLM`.
        biases: for each key of the config that says whether there are biases, the layers that have
            them, of `q`, `k`, `v`, `o`, `gate`, `up` and `down`. The key `""` is for layers that
            always have them.
        qk_norms: whether queries and keys are normalized, each head by itself.
        post_norms: whether what attention and MLP return is normalized too, before it is added.
            The four norms of a layer are called as in Gemma 2.
        norm_plus_one: whether norms multiply by 1 + weight.
        activation: of the gate, in a config that does not say. It is also the one that mlx-lm's
            class has, which reads none from a config.
        activation_key: the key with another one.
        scaled_embedding: whether embeddings are multiplied by the square root of `hidden_size`.
        scalars: of the keys `query_pre_attn_scalar`, `attn_logit_softcapping` and
            `final_logit_softcapping`, those that the family has, with the number of a config
            that does not say; `None` for no cap.
        window: the sliding window of a config that does not say; `None` for none. Families that
            never have a window have `windowed` false.
        windowed: whether a config can have a sliding window.
        window_switch: the key that says whether the window counts, as `use_sliding_window`.
        full_layers: which layers have no window, where `layer_types` does not say; `None` in a
            family whose layers are all alike.
        theta: base of the rotary frequencies of a config that does not say.
        local_theta: in layers with a window, where these have a base of their own, by the key
            `rope_local_base_freq` or in a table of `rope_parameters`.
        tied: whether the head is the embedding, where a config does not say.
        positions: `max_position_embeddings` of a config that does not say.
        harmless: keys of the config that change nothing here.

    Raises:
        ValueError: a name that is not one of those above.
    """

    model_type: str
    architecture: str
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    qk_norms: bool = False
    post_norms: bool = False
    norm_plus_one: bool = False
    activation: str = "silu"
    activation_key: str = "hidden_act"
    scaled_embedding: bool = False
    scalars: Mapping[str, float | None] = field(default_factory=dict)
    window: int | None = None
    windowed: bool = False
    window_switch: str | None = None
    full_layers: FullLayers | None = None
    theta: float = 10_000.0
    local_theta: float | None = None
    tied: bool = False
    positions: int = 2048
    harmless: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = [part for some in self.biases.values() for part in some]
        _require("biases", parts, PARTS)
        _require("scalars", self.scalars, SCALARS)
        _require("activation", [self.activation], ACTIVATIONS)
        for name in ("window", "window_switch", "full_layers", "local_theta"):
            if getattr(self, name) and not self.windowed:
                raise ValueError(f"{name} is for families that can have a window: windowed=True")


def _require(name: str, given: Any, known: tuple[str, ...]) -> None:
    for each in given:
        if each not in known:
            raise ValueError(f"{name} has {short(each)}, which is not one of {', '.join(known)}")
