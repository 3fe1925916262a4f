"""What a decoder is made of, as data: sizes, and the names of its tensors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from zoo import schema
from zoo.errors import IntegrityError
from zoo.formats.checkpoint import read_json
from zoo.formats.coreml.compress.passes import Target

SPEC_FILE = "decoder.json"
"""Where a build keeps its spec."""


Activation = Literal["silu", "gelu", "gelu_tanh"]
"""Of the gate; `gelu_tanh` is the approximation by a tangent."""


def bias_of(weight: str) -> str:
    """The name of the bias beside a weight."""
    return weight.removesuffix(".weight") + ".bias"


@dataclass(frozen=True)
class LayerSpec:
    """The sizes of one layer: heads of queries, heads of keys and values, width inside SwiGLU.

    A layer that is `full` sees all tokens before, in a decoder whose other layers have a window.
    """

    query_heads: int
    kv_heads: int
    ffn_width: int
    full: bool = False


@dataclass(frozen=True)
class TensorNames:
    """The tensors in the checkpoint; `{layer}` stands for a layer's number.

    Attributes:
        embedding: of shape (vocabulary, width).
        norm: after the last layer.
        head: of shape (vocabulary, width); `None` when the embedding serves as head too.
        attention_norm, ffn_norm: before each half of a layer.
        post_attention_norm, post_ffn_norm: after each half, before it is added; both or neither.
        qkv: query, key and value by themselves, or one tensor with all three in this order.
        qk_norms: norms of each head's queries and keys, or nothing.
        output: from the heads back to the width.
        gate_up: SwiGLU's gate and up by themselves, or one tensor with both in this order.
        down: SwiGLU's way back to the width.
        biased: those of the linear layers that have a bias beside them, called `.bias` in place of
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
    """A decoder-only language model with rotary positions, RMSNorm and SwiGLU.

    Attributes:
        vocabulary: number of tokens.
        width: of the stream between layers.
        head_dim: of one head.
        layers: the sizes of each layer.
        names: where the weights are.
        eps: of RMSNorm.
        rope_theta: base of the rotary frequencies.
        rope_factor: positions are divided by it (linear scaling).
        rope_scaling: `llama3` or `yarn`, which scale frequencies apart from each other; else none.
        rope_parameters: of that scaling, by their names in transformers.
        activation: of the gate.
        context: tokens that the state holds.
        window: each token sees itself and this many minus one before; `None`: all before.
        local_rope_theta: `rope_theta` of the layers with a window, whose frequencies are not
            scaled; `None` where they have those of the others.
        norm_offset: added to the weights of norms.
        embedding_scale: what embeddings are multiplied by.
        attention_scale: what scores of attention are multiplied by; `None` for head_dim ** -0.5.
        attention_cap, logit_cap: soft caps of scores of attention, before the mask is added, and
            of logits: cap * tanh(score / cap). `None` for none.
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
        """The sizes that no decoder can have: the field, and what is wrong with it."""
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
        """Whether some layers have a window and others none; their masks differ then."""
        return self.window is not None and any(layer.full for layer in self.layers)

    @property
    def scale(self) -> float:
        """What scores of attention are multiplied by."""
        return self.head_dim**-0.5 if self.attention_scale is None else self.attention_scale

    @property
    def locally(self) -> DecoderSpec:
        """The decoder with the rotary frequencies of the layers with a window."""
        if self.local_rope_theta is None:
            return self
        return replace(self, rope_theta=self.local_rope_theta, rope_factor=1.0, rope_scaling=None)

    def is_local(self, layer: LayerSpec) -> bool:
        """Whether a layer has rotary frequencies apart from those of the others."""
        return self.local_rope_theta is not None and self.window is not None and not layer.full

    @property
    def beyond_plain(self) -> list[str]:
        """What it has that Llama 2 has not, by the words for a message."""
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
        """Of the key cache and of the value cache: (layers, 1, heads, context, head_dim).

        There are as many heads as the layer with the most has; other layers use the first ones.
        """
        heads = max(layer.kv_heads for layer in self.layers)
        return (len(self.layers), 1, heads, self.context, self.head_dim)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and the shape of every tensor."""
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
        """Keep the spec in `folder`."""
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
    """The spec that a build keeps in `folder`.

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
