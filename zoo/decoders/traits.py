"""The declaration of a family of decoders."""

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
    """Which layers attend to all tokens, in a config without `layer_types`.

    The other layers have a sliding window.

    Attributes:
        every: interval of these layers, such as 6 for the 6th, 12th and so on; 0 for none.
        first: number of these layers at the beginning.
        key: the config key that overrides `every` or `first`.
    """

    every: int = 0
    first: int = 0
    key: str | None = None

    def among(self, layers: int, data: Mapping[str, Any]) -> tuple[bool, ...]:
        """Return whether each layer attends to all tokens.

        Args:
            layers: number of layers.
            data: the config.

        Returns: a bool for each layer.

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
    """The declaration of a family of decoders: how it differs from Llama.

    Attributes:
        model_type: `model_type` in config.json.
        architecture: the class in transformers, such as `LlamaForCausalLM`.
        biases: config key to the linear layers with biases if it is true: `q`, `k`, `v`, `o`,
            `gate`, `up` and `down`. The key `""` lists layers that always have biases.
        qk_norms: whether queries and keys are normalized per head, as in Qwen3.
        post_norms: whether the outputs of attention and MLP are normalized before they are added,
            as in Gemma 2. The names of the four norms of a layer are those of Gemma 2.
        norm_plus_one: whether norms multiply by 1 + weight, as in Gemma.
        activation: activation of the gate, if the config does not name one. The class in mlx-lm
            must use it too, because it reads none from a config.
        activation_key: config key of the activation.
        scaled_embedding: whether embeddings are multiplied by the square root of `hidden_size`.
        scalars: the keys of `query_pre_attn_scalar`, `attn_logit_softcapping` and
            `final_logit_softcapping` that the family has, to their default; `None` for no cap.
        window: default of `sliding_window`; `None` for none.
        windowed: whether a config can have a sliding window.
        window_switch: config key that turns the window on, such as `use_sliding_window`.
        full_layers: which layers have no window, by default; `None` if all layers are alike.
        theta: default base of the rotary frequencies.
        local_theta: default base in layers with a window, if it differs: `rope_local_base_freq`, or
            a table in `rope_parameters`.
        tied: whether the output head shares the embedding, by default.
        positions: default of `max_position_embeddings`.
        harmless: config keys that do not change the computation.

    Raises:
        ValueError: a name is not one of those listed here.
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
