"""The description of a decoder as data: its sizes, and the names of its tensors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from zoo import schema
from zoo.errors import IntegrityError
from zoo.formats.checkpoint import read_json
from zoo.formats.coreml.compress.passes import Target
from zoo.formats.coreml.description import SPEC_FILE

Activation = Literal["silu", "gelu", "gelu_tanh"]
"""The activation of the gate; `gelu_tanh` is GELU's tanh approximation."""


def bias_of(weight: str) -> str:
    """Return the name of the bias that belongs to a weight."""
    return weight.removesuffix(".weight") + ".bias"


@dataclass(frozen=True)
class LayerSpec:
    """The sizes of one layer.

    Attributes:
        query_heads: number of query heads.
        kv_heads: number of key-value heads.
        ffn_width: intermediate size of the MLP.
        full: whether the layer has full attention, in a decoder whose other layers have
            sliding-window attention.
    """

    query_heads: int
    kv_heads: int
    ffn_width: int
    full: bool = False


@dataclass(frozen=True)
class TensorNames:
    """The names of the tensors in the checkpoint; `{layer}` stands for the index of a layer.

    Attributes:
        embedding: the token embeddings, of shape (vocabulary, width).
        norm: the norm after the last layer.
        head: the output head, of shape (vocabulary, width); `None` if it is tied to the embeddings.
        attention_norm, ffn_norm: the norms before attention and before the MLP.
        post_attention_norm, post_ffn_norm: the norms after attention and after the MLP, before the
            residual connection; both or neither.
        qkv: the projections of queries, keys and values, or one fused tensor, in this order.
        qk_norms: the norms of each head's queries and keys, or nothing.
        output: the output projection of attention.
        gate_up: the gate and up projections of the MLP, or one fused tensor, in this order.
        down: the down projection of the MLP.
        biased: those of the linear layers above that have a bias, which is named `.bias` instead of
            `.weight`.
    """

    embedding: str
    norm: str
    attention_norm: str
    qkv: tuple[str, ...]
    output: str
    ffn_norm: str
    gate_up: tuple[str, ...]
    down: str
    head: str | None = None
    qk_norms: tuple[str, ...] = ()
    biased: tuple[str, ...] = ()
    post_attention_norm: str | None = None
    post_ffn_norm: str | None = None


@dataclass(frozen=True)
class DecoderSpec:
    """A decoder-only language model with rotary position embeddings, RMSNorm and a gated MLP.

    Attributes:
        vocabulary: vocabulary size.
        width: hidden size.
        head_dim: size of one attention head.
        layers: the sizes of each layer.
        names: the names of the tensors in the checkpoint.
        eps: epsilon of RMSNorm.
        rope_theta: base of the rotary frequencies.
        rope_factor: factor of linear RoPE scaling, by which positions are divided.
        rope_scaling: `llama3` or `yarn`, which scale each frequency by itself; `None` for neither.
        rope_parameters: the parameters of that scaling, by their names in transformers.
        activation: activation of the gate.
        context: context length, the number of tokens that the key-value cache holds.
        window: sliding window in tokens, including the current one; `None` for full attention.
        local_rope_theta: `rope_theta` of the sliding-window layers, whose frequencies are not
            scaled; `None` if all layers have the same frequencies.
        norm_offset: constant added to the weights of norms.
        embedding_scale: factor that embeddings are multiplied by.
        attention_scale: factor that attention scores are multiplied by; `None` for
            head_dim ** -0.5.
        attention_cap, logit_cap: soft caps of attention scores, before the mask is added, and of
            logits: cap * tanh(score / cap). `None` for none.
    """

    vocabulary: int
    width: int
    head_dim: int
    layers: tuple[LayerSpec, ...]
    names: TensorNames
    eps: float
    rope_theta: float
    context: int
    rope_factor: float = 1.0
    rope_scaling: str | None = None
    rope_parameters: dict[str, float] = field(default_factory=dict)
    activation: Activation = "silu"
    window: int | None = None
    local_rope_theta: float | None = None
    norm_offset: float = 0.0
    embedding_scale: float = 1.0
    attention_scale: float | None = None
    attention_cap: float | None = None
    logit_cap: float | None = None

    def validate(self) -> Iterator[tuple[str, str]]:
        """Yield each invalid size: the field, and what is wrong with it."""
        for key in ("vocabulary", "width", "head_dim", "context"):
            if getattr(self, key) < 1:
                yield key, f"must be at least 1, not {getattr(self, key)}"
        if self.head_dim % 2:
            yield "head_dim", f"must be even, not {self.head_dim}"
        if not self.layers:
            yield "layers", "must not be empty"
        for number, layer in enumerate(self.layers):
            if min(layer.query_heads, layer.kv_heads, layer.ffn_width) < 1:
                yield f"layers[{number}]", "has a size below 1"
            elif layer.query_heads % layer.kv_heads:
                yield (
                    f"layers[{number}]",
                    f"{layer.query_heads} query heads do not share {layer.kv_heads} key heads",
                )

    @property
    def mixed(self) -> bool:
        """Whether sliding-window and full-attention layers are mixed, which need two masks."""
        return self.window is not None and any(layer.full for layer in self.layers)

    @property
    def scale(self) -> float:
        """The factor that attention scores are multiplied by."""
        return self.head_dim**-0.5 if self.attention_scale is None else self.attention_scale

    @property
    def locally(self) -> DecoderSpec:
        """The decoder with the rotary frequencies of its sliding-window layers."""
        if self.local_rope_theta is None:
            return self
        return replace(self, rope_theta=self.local_rope_theta, rope_factor=1.0, rope_scaling=None)

    def is_local(self, layer: LayerSpec) -> bool:
        """Return whether a layer has the rotary frequencies of sliding-window layers."""
        return self.local_rope_theta is not None and self.window is not None and not layer.full

    @property
    def beyond_plain(self) -> list[str]:
        """The features that Llama 2 does not have, in words for a message."""
        plain = DecoderSpec(1, 1, 2, (), self.names, 1.0, 1.0, 1)
        words = {
            "rope_scaling": f"RoPE scaling '{self.rope_scaling}'",
            "activation": f"the activation '{self.activation}'",
            "local_rope_theta": "rotary positions of layers with a window",
            "norm_offset": "norms that multiply by 1 + weight",
            "embedding_scale": "scaled embeddings",
            "attention_scale": "query_pre_attn_scalar",
            "attention_cap": "soft caps of attention",
            "logit_cap": "soft caps of logits",
        }
        found = [word for key, word in words.items() if getattr(self, key) != getattr(plain, key)]
        found += ["layers with and without a window"] * self.mixed
        found += ["norms after each half of a layer"] * bool(self.names.post_ffn_norm)
        return found + ["biases"] * bool(self.names.biased)

    @property
    def state_shape(self) -> tuple[int, int, int, int, int]:
        """The shape of the key cache and of the value cache: (layers, 1, heads, context, head_dim).

        `heads` is the largest number of key-value heads of any layer. Layers with fewer use the
        first ones.
        """
        heads = max(layer.kv_heads for layer in self.layers)
        return (len(self.layers), 1, heads, self.context, self.head_dim)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor by its name."""
        names, width = self.names, self.width
        shapes: dict[str, tuple[int, ...]] = {
            names.embedding: (self.vocabulary, width),
            names.norm: (width,),
        }
        if names.head:
            shapes[names.head] = (self.vocabulary, width)
        for number, layer in enumerate(self.layers):
            queries, keys = layer.query_heads * self.head_dim, layer.kv_heads * self.head_dim
            heights = [queries, keys, keys]
            own = {
                names.attention_norm: (width,),
                names.output: (width, queries),
                names.ffn_norm: (width,),
                names.down: (width, layer.ffn_width),
            }
            for group, rows in ((names.qkv, heights), (names.gate_up, [layer.ffn_width] * 2)):
                parts = [sum(rows)] if len(group) == 1 else rows
                own |= {name: (height, width) for name, height in zip(group, parts, strict=True)}
            own |= dict.fromkeys(names.qk_norms, (self.head_dim,))
            after = (names.post_attention_norm, names.post_ffn_norm)
            own |= dict.fromkeys(filter(None, after), (width,))
            own |= {bias_of(name): own[name][:1] for name in names.biased}
            shapes |= {name.format(layer=number): shape for name, shape in own.items()}
        return shapes

    def write(self, folder: Path) -> None:
        """Write the spec to `folder`."""
        (folder / SPEC_FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


@dataclass(frozen=True)
class DecoderOptions:
    """Options of a build in the format `coreml`."""

    context: int = field(
        default=2048, metadata={"doc": "tokens that the state holds", "minimum": 2}
    )
    target: Target = field(
        default="gpu",
        metadata={"doc": "gpu: flexible shapes, for GPU and CPU; neural-engine: static shapes"},
    )


def read_spec(folder: Path) -> DecoderSpec:
    """Read the spec of the build in `folder`.

    Raises:
        IntegrityError: it is missing or damaged.
    """
    path = folder / SPEC_FILE
    problems = schema.Problems()
    present = {k: v for k, v in read_json(path).items() if v is not None}
    if isinstance(present.get("names"), dict):
        present["names"] = {k: v for k, v in present["names"].items() if v is not None}
    spec: DecoderSpec | None = schema.read(DecoderSpec, present, problems)
    if spec is None or problems.found:
        raise IntegrityError(f"{path} is damaged: {'; '.join(problems.found)}")
    return spec


PACKAGE = "model.mlpackage"


ADAPTERS = "adapters"
