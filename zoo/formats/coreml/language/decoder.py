"""Build a language model as a Core ML program straight from its safetensors, weights streamed.

The program (iOS 18, https://apple.github.io/coremltools/docs-guides/source/stateful-models.html):

- `inputIds`, int32 of shape (1, Q): the tokens to go on with.
- `causalMask`, float16 of shape (1, 1, Q, E): added to the scores of attention. E is the number of
  tokens up to the last of these, so they are at the positions E - Q to E - 1. The mask alone says
  who sees whom: a sliding window is a matter of the caller, who masks what lies before it.
- `slidingMask`, as `causalMask`, where some layers have a window and others see all tokens. It is
  the mask of the former, `causalMask` that of the latter.
- `keyCache`, `valueCache`, float16 states of `DecoderSpec.state_shape`.
- `logitIndices`, int32 of shape (K,): which of the Q tokens to give logits after. To go on writing,
  only the last is of interest, Q - 1; a check asks for all.
- `logits`, float16 of shape (1, K, vocabulary).

A package with LoRA adapters has a function for each beside `main`. They share every weight; an
adapter is a branch beside the linear layers that it changes.

Everything is float16 except inside RMSNorm, where squares would overflow. Rotary positions come
from tables, because angles in float16 would be wrong by whole turns at positions in the thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.adapters import LowRank
from zoo.formats.coreml.compress.encoding import Compression, plain_name, to_float16
from zoo.formats.coreml.compress.ledger import Ledger
from zoo.formats.coreml.convert.streaming import Metadata, save_program, shared_constant, streaming
from zoo.formats.coreml.language.functions import joined, program_of, soft_capped
from zoo.formats.coreml.language.mask import CAUSAL, mask_names
from zoo.formats.coreml.language.rope import named_tables
from zoo.formats.coreml.language.spec import DecoderSpec, LayerSpec, bias_of
from zoo.formats.coreml.language.weights import Weights, expected_bits
from zoo.formats.coreml.package.proto import WEIGHT_FILE
from zoo.formats.coreml.package.weights import Role
from zoo.formats.tensors import Tensors
from zoo.progress import Progress

IGNORED = ("rotary_emb.inv_freq",)
"""Endings of tensors that some checkpoints have and no decoder needs."""

MAIN = "main"
"""The function without an adapter."""

CACHES = ("keyCache", "valueCache")

Adapters = Mapping[str, Mapping[str, LowRank]]
"""For each adapter, what it adds to the weight of which name."""

BLOB_OVERHEAD = 128
"""Most bytes that `weight.bin` spends on a constant's header and alignment."""


def write_decoder(
    spec: DecoderSpec,
    source: Tensors,
    package: Path,
    *,
    compression: Compression,
    metadata: Metadata,
    progress: Progress,
    adapters: Adapters | None = None,
) -> Ledger:
    """Write the decoder in `source` as the `.mlpackage` at `package`.

    No more than one of its tensors is in memory at a time, beside the adapters.

    Returns: what the weights take.

    Raises:
        IntegrityError: tensors that are not those of the spec, or that float16 cannot hold.
    """
    compression.require_known(spec.shapes)
    require_decoder(spec, source)
    with streaming(progress) as stream:
        weights = Weights(stream, source, compression)
        program, inputs = _program(spec, weights, adapters or {})
        save_program(stream, program, inputs, package, metadata)
    _require_size(package, spec, weights.ledger, adapters or {})
    return weights.ledger


def require_decoder(spec: DecoderSpec, source: Tensors) -> None:
    """Refuse a checkpoint whose tensors are not those of the spec.

    Raises:
        IntegrityError: which are not.
    """
    source.require(spec.shapes, IGNORED if spec.names.head else (*IGNORED, "lm_head.weight"))


def bits_per_weight(spec: DecoderSpec, compression: Compression) -> float:
    """Bits that each weight of the decoder takes on disk, with scales and tables."""
    roles: dict[str | None, Role] = {spec.names.embedding: "embeddings", spec.names.head: "head"}
    bits = weights = 0
    for name, shape in spec.shapes.items():
        weights += prod(shape)
        bits += expected_bits(shape, compression.scheme(roles.get(name, "linear"), name))
    return bits / weights


def _require_size(package: Path, spec: DecoderSpec, ledger: Ledger, adapters: Adapters) -> None:
    """Refuse a package whose weights on disk are not as large as the ledger says."""
    kinds = len({spec.is_local(layer) for layer in spec.layers})
    tables = 2 * spec.context * spec.head_dim * 2 * kinds
    branches = [change for changes in adapters.values() for change in changes.values()]
    added = sum(change.down.size + change.up.size for change in branches) * 2
    found, wanted = (package / WEIGHT_FILE).stat().st_size, ledger.bits // 8 + tables + added
    blobs = 4 * len(spec.shapes) + 2 * len(branches)
    if abs(found - wanted) > 0.005 * wanted + BLOB_OVERHEAD * blobs:
        raise IntegrityError(
            f"the weights in {package} take {found:,} bytes, and should take {wanted:,}"
        )


def _program(spec: DecoderSpec, weights: Weights, adapters: Adapters) -> tuple[Any, list[Any]]:
    """The MIL program, and the types of its flexible inputs."""
    import coremltools as ct
    import numpy as np
    from coremltools.converters.mil.mil import Builder as mb
    from coremltools.converters.mil.mil import types

    given, total, wanted = (ct.RangeDim(1, spec.context, 1) for _ in range(3))
    tokens = mb.TensorSpec((1, given.symbol), dtype=types.int32)
    shape = (1, 1, given.symbol, total.symbol)
    taken = {"inputIds": tokens}
    taken |= {mask: mb.TensorSpec(shape, dtype=types.fp16) for mask in mask_names(spec)}
    taken["logitIndices"] = mb.TensorSpec((wanted.symbol,), dtype=types.int32)
    taken |= {name: mb.StateTensorSpec(spec.state_shape, dtype=types.fp16) for name in CACHES}

    def function(name: str) -> Any:
        def body(**inputs: Any) -> Any:
            branches = _Branches(name, adapters.get(name, {}))
            decoder = _Decoder(spec, weights, branches, inputs)
            return decoder.logits(inputs["inputIds"], inputs["logitIndices"])

        return program_of(name, taken, body)

    inputs = [ct.TensorType("inputIds", shape=(1, given), dtype=np.int32)]
    inputs += [
        ct.TensorType(mask, shape=(1, 1, given, total), dtype=np.float16)
        for mask in mask_names(spec)
    ]
    inputs.append(ct.TensorType("logitIndices", shape=(wanted,), dtype=np.int32))
    program = function(MAIN)
    for name in adapters:
        program.add_function(name, function(name).functions[name])
    return program, inputs


class _Branches:
    """What an adapter, the function's own, adds to linear layers."""

    def __init__(self, adapter: str, changes: Mapping[str, LowRank]) -> None:
        self.adapter, self.changes = adapter, changes

    def added(self, x: Any, weight: str, y: Any) -> Any:
        """`y`, the product of `x` and `weight`, with the adapter's change added."""
        from coremltools.converters.mil.mil import Builder as mb

        change = self.changes.get(weight)
        if change is None:
            return y
        for part, matrix in (("down", change.down), ("up", change.up)):
            name = f"{plain_name(weight)}_{plain_name(self.adapter)}_{part}"
            narrow = to_float16(matrix, f"the adapter '{self.adapter}'")
            x = mb.linear(x=x, weight=shared_constant(name, narrow), bias=zeros(len(narrow)))
        return mb.add(x=y, y=x)


class _Decoder:
    """The operations of one program; shapes are given as they flow, Q tokens of E."""

    def __init__(
        self,
        spec: DecoderSpec,
        weights: Weights,
        branches: _Branches,
        inputs: Mapping[str, Any],
    ) -> None:
        import numpy as np
        from coremltools.converters.mil.mil import Builder as mb

        self.spec, self.weights, self.branches, self.mb = spec, weights, branches, mb
        self.caches = [inputs[name] for name in CACHES]
        self.full, self.windowed = inputs[CAUSAL], inputs[mask_names(spec)[-1]]
        sizes = mb.shape(x=self.full)
        total = mb.gather(x=sizes, indices=np.int32(3), axis=0)
        given = mb.gather(x=sizes, indices=np.int32(2), axis=0)
        self.end = mb.expand_dims(x=total, axes=[0])
        self.start = mb.expand_dims(x=mb.sub(x=total, y=given), axes=[0])
        first = self._vector(self.start, 0)
        last = self._vector(self.end, spec.head_dim)
        self.angles = {
            local: [
                mb.slice_by_index(x=shared_constant(name, table), begin=first, end=last)
                for name, table in named_tables(spec, local=local).items()
            ]
            for local in sorted({spec.is_local(layer) for layer in spec.layers})
        }

    def logits(self, tokens: Any, places: Any) -> Any:
        """(1, Q) and (K,) to (1, K, vocabulary)."""
        mb, spec, names, weights = self.mb, self.spec, self.spec.names, self.weights
        embedding = weights.large(names.embedding, "embeddings")
        x = mb.gather(x=embedding, indices=tokens, axis=0, validate_indices=False)
        x = self._scaled(x, spec.embedding_scale)
        clipped = bool(names.post_attention_norm)
        for number, layer in enumerate(spec.layers):
            mixed = self._attention(x, number, layer)
            x = joined(x, self._norm(mixed, names.post_attention_norm, number), clipped=clipped)
            y = self._norm(self._ffn(x, number), names.post_ffn_norm, number)
            x = joined(x, y, clipped=clipped)
        x = mb.gather(x=x, indices=places, axis=1, validate_indices=False)
        head = weights.large(names.head, "head") if names.head else embedding
        x = self._norm(x, names.norm)
        branched = names.head is not None and names.head in self.branches.changes
        last = {} if branched or spec.logit_cap else {"name": "logits"}
        logits = mb.linear(x=x, weight=head, bias=zeros(spec.vocabulary), **last)
        if names.head and branched:
            logits = self.branches.added(x, names.head, logits)
        if spec.logit_cap:
            return soft_capped(logits, spec.logit_cap, name="logits")
        return mb.identity(x=logits, name="logits") if branched else logits

    def _attention(self, x: Any, number: int, layer: LayerSpec) -> Any:
        """(1, Q, width) to the same."""
        mb, names = self.mb, self.spec.names
        h = self._norm(x, names.attention_norm, number)
        queries, keys, values = self._qkv(h, number, layer)
        if names.qk_norms:
            queries = self._norm(queries, names.qk_norms[0], number)
            keys = self._norm(keys, names.qk_norms[1], number)
        begin = self._vector(number, 0, 0, self.start, 0)
        end = self._vector(number + 1, 1, layer.kv_heads, self.end, self.spec.head_dim)
        keys, values = (
            self._remembered(cache, new, begin, end, layer)
            for cache, new in zip(self.caches, (self._rotated(keys, layer), values), strict=True)
        )
        mask = self.full if layer.full else self.windowed
        mixed = self._mixed(self._rotated(queries, layer), keys, values, mask)
        width = layer.query_heads * self.spec.head_dim
        flat = mb.reshape(x=mb.transpose(x=mixed, perm=[0, 2, 1, 3]), shape=[1, -1, width])
        return self._linear(flat, names.output, number)

    def _mixed(self, queries: Any, keys: Any, values: Any, mask: Any) -> Any:
        """Attention, (1, heads, Q, head_dim) of queries to the same."""
        mb, spec = self.mb, self.spec
        if spec.attention_cap is None:  # The operation has a scale of its own.
            queries = self._scaled(queries, spec.scale * spec.head_dim**0.5)
            return mb.scaled_dot_product_attention(
                query=queries, key=keys, value=values, attn_mask=mask
            )
        scores = mb.matmul(x=self._scaled(queries, spec.scale), y=keys, transpose_y=True)
        scores = mb.add(x=soft_capped(scores, spec.attention_cap), y=mask)
        return mb.matmul(x=mb.softmax(x=scores, axis=-1), y=values)

    def _scaled(self, x: Any, factor: float) -> Any:
        import numpy as np

        return x if abs(factor - 1) < 1e-9 else self.mb.mul(x=x, y=np.float16(factor))

    def _qkv(self, h: Any, number: int, layer: LayerSpec) -> list[Any]:
        """(1, Q, width) to queries, keys and values of shape (1, heads, Q, head_dim)."""
        counts = [layer.query_heads, layer.kv_heads, layer.kv_heads]
        names = self.spec.names.qkv
        if len(names) == 1:
            heads = self._heads(self._linear(h, names[0], number), sum(counts))
            return list(self.mb.split(x=heads, split_sizes=counts, axis=1))
        return [
            self._heads(self._linear(h, name, number), count)
            for name, count in zip(names, counts, strict=True)
        ]

    def _heads(self, x: Any, count: int) -> Any:
        """(1, Q, count * head_dim) to (1, count, Q, head_dim)."""
        apart = self.mb.reshape(x=x, shape=[1, -1, count, self.spec.head_dim])
        return self.mb.transpose(x=apart, perm=[0, 2, 1, 3])

    def _rotated(self, x: Any, layer: LayerSpec) -> Any:
        """Rotary positions, halves paired as in transformers; (1, heads, Q, head_dim) to same."""
        import numpy as np

        mb, (cos, sin) = self.mb, self.angles[self.spec.is_local(layer)]
        first, second = mb.split(x=x, num_splits=2, axis=-1)
        turned = mb.concat(values=[mb.mul(x=second, y=np.float16(-1)), first], axis=-1)
        return mb.add(x=mb.mul(x=x, y=cos), y=mb.mul(x=turned, y=sin))

    def _remembered(self, cache: Any, new: Any, begin: Any, end: Any, layer: LayerSpec) -> Any:
        """Write (1, kv_heads, Q, head_dim) to the state; all of it as (1, query_heads, E, ...)."""
        mb, spec = self.mb, self.spec
        updated = mb.slice_update(
            x=mb.read_state(input=cache),
            update=mb.expand_dims(x=new, axes=[0]),
            begin=begin,
            end=end,
        )
        stored = mb.coreml_update_state(state=cache, value=updated)
        found = mb.slice_by_index(
            x=stored,
            begin=begin,
            end=end,
            begin_mask=[False, True, True, True, True],
            squeeze_mask=[True, False, False, False, False],
        )
        sharing = layer.query_heads // layer.kv_heads
        if sharing == 1:
            return found
        tiled = mb.tile(x=mb.expand_dims(x=found, axes=[2]), reps=[1, 1, sharing, 1, 1])
        return mb.reshape(x=tiled, shape=[1, layer.query_heads, -1, spec.head_dim])

    def _ffn(self, x: Any, number: int) -> Any:
        """SwiGLU, (1, Q, width) to the same."""
        mb, names = self.mb, self.spec.names
        h = self._norm(x, names.ffn_norm, number)
        inner = [self._linear(h, name, number) for name in names.gate_up]
        gate, up = mb.split(x=inner[0], num_splits=2, axis=-1) if len(inner) == 1 else inner
        return self._linear(mb.mul(x=activated(self.spec, gate), y=up), names.down, number)

    def _linear(self, x: Any, name: str, number: int) -> Any:
        weight = name.format(layer=number)
        rows = self.spec.shapes[weight][0]
        bias = zeros(rows)
        if name in self.spec.names.biased:
            named = bias_of(weight)
            bias = shared_constant(plain_name(named), self.weights.small(named))
        y = self.mb.linear(x=x, weight=self.weights.large(weight), bias=bias)
        return self.branches.added(x, weight, y)

    def _norm(self, x: Any, name: str | None, number: int = 0) -> Any:
        """RMSNorm over the last axis, computed in float32: a square of 256 overflows float16.

        Without a name there is none.
        """
        import numpy as np

        if name is None:
            return x
        mb = self.mb
        wide = mb.cast(x=x, dtype="fp32")
        mean = mb.reduce_mean(x=mb.mul(x=wide, y=wide), axes=[-1], keep_dims=True)
        scaled = mb.mul(x=wide, y=mb.rsqrt(x=mean, epsilon=np.float32(self.spec.eps)))
        narrow = mb.cast(x=scaled, dtype="fp16")
        weight = name.format(layer=number)
        gain = self.weights.small(weight, self.spec.norm_offset)
        return mb.mul(x=narrow, y=shared_constant(plain_name(weight), gain))

    def _vector(self, *entries: Any) -> Any:
        """An int32 vector of numbers and of variables of shape (1,)."""
        import numpy as np

        parts = [np.array([e], np.int32) if isinstance(e, int) else e for e in entries]
        return self.mb.concat(values=parts, axis=0)


def activated(spec: DecoderSpec, gate: Any) -> Any:
    """The gate of SwiGLU, or of what else the decoder has, through its activation."""
    from coremltools.converters.mil.mil import Builder as mb

    match spec.activation:
        case "silu":
            return mb.silu(x=gate)
        case "gelu":
            return mb.gelu(x=gate, mode="EXACT")
        case "gelu_tanh":
            return mb.gelu(x=gate, mode="TANH_APPROXIMATION")


def zeros(count: int) -> Any:
    """No bias, stored once for all layers of the same height; by itself each would have its own."""
    import numpy as np

    return shared_constant(f"no_bias_{count}", np.zeros(count, np.float16))
