"""The MIL programs of a decoder for the Neural Engine: layers and head, in static shapes.

A package of layers has the functions `prefill` (64 tokens) and `extend` (1 token):

- `hiddenStates`, float16 (1, 1, tokens, width): the embeddings, or what the package before returns.
- `causalMask`, float16 (1, 1, tokens, length): added to the scores of attention.
- `slidingMask`, likewise, where some layers have a window: the mask of those in the package, and
  `causalMask` that of the others. A package takes only what its layers need.
- `cacheUpdateMask`, float16 (1, 1, tokens, length): 1 where each token is to be remembered, at its
  position; else 0. A row of zeros remembers nothing: the tokens that fill up a block.
- `keyCache`, `valueCache`, float16 states (1, heads, head size, length): the heads of all layers of
  the package, one after another.
- `hiddenStatesOut`, float16 (1, 1, tokens, width).

The functions `begin_64` and `begin_256` take the first tokens of a prompt. They attend to these
alone, so the masks are (1, 1, tokens, tokens), and remember all of them, so there is no
`cacheUpdateMask`: what fills up a block is overwritten later, and hidden until then.

The head's package has the function `main`: from `hiddenStates` (1, 1, 1, width) to `logits1` and
following, float16 (1, part of the vocabulary).

The caches are blended rather than written at a position, because a state that is written where an
input says does not load (https://github.com/FluidInference/mobius/pull/77). The other choices
follow https://machinelearning.apple.com/research/neural-engine-transformers: 1x1 convolutions on
(1, channels, 1, tokens), heads one by one, softmax over the positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoo.formats.adapters import LowRank
from zoo.formats.coreml.compress.encoding import plain_name, to_float16
from zoo.formats.coreml.convert.norms import rms_norm
from zoo.formats.coreml.convert.streaming import shared_constant
from zoo.formats.coreml.language.decoder import CACHES, activated
from zoo.formats.coreml.language.functions import joined, program_of, soft_capped
from zoo.formats.coreml.language.mask import CAUSAL, mask_names
from zoo.formats.coreml.language.neural_engine.plan import Cut, Half, cuts, ffn_cuts, state_length
from zoo.formats.coreml.language.rope import named_tables
from zoo.formats.coreml.language.spec import DecoderSpec, LayerSpec, bias_of
from zoo.formats.coreml.language.weights import Weights
from zoo.formats.coreml.package.weights import Role

Changes = Mapping[str, LowRank]
"""What an adapter adds to the weight of which name."""

PREFILL, EXTEND, MAIN = "prefill", "extend", "main"
"""The functions of packages."""

BEGIN = "begin_"
"""What the name of a function for the beginning of a prompt has before its number of tokens."""

HIDDEN, UPDATE = "hiddenStates", "cacheUpdateMask"
"""The inputs of packages, beside masks and caches."""


def function_name(kind: str, adapter: str | None) -> str:
    """What a package calls a function with an adapter; `main` is called as the adapter alone."""
    if adapter is None:
        return kind
    return adapter if kind == MAIN else f"{adapter}_{kind}"


def layers_program(
    spec: DecoderSpec,
    weights: Weights,
    part: Sequence[Half],
    sizes: Mapping[str, int],
    adapters: Mapping[str, Changes],
) -> Any:
    """The program of some halves of layers.

    Args:
        spec: the decoder.
        weights: of the decoder, within their stream.
        part: the halves, in order.
        sizes: how many tokens the function of each kind takes, by its name.
        adapters: what each adds; all have functions of their own.
    """
    from coremltools.converters.mil.mil import Builder as mb
    from coremltools.converters.mil.mil import types

    length = state_length(spec)
    heads = sum(spec.layers[half.layer].kv_heads for half in part if half.kind == "attention")

    def function(name: str, kind: str, changes: Changes, adapter: str) -> Any:
        tokens, begins = sizes[kind], kind.startswith(BEGIN)

        def body(**inputs: Any) -> Any:
            linear = _Linear(weights, adapter, changes)
            return _Layers(spec, weights, linear, tokens, inputs).run(part)

        taken = {HIDDEN: mb.TensorSpec((1, 1, tokens, spec.width), dtype=types.fp16)}
        if heads:
            seen = (1, 1, tokens, tokens if begins else length)
            named = [*masks_of(spec, part), *([] if begins else [UPDATE])]
            taken |= {name: mb.TensorSpec(seen, dtype=types.fp16) for name in named}
            shape = (1, heads, spec.head_dim, length)
            taken |= {name: mb.StateTensorSpec(shape, dtype=types.fp16) for name in CACHES}
        return program_of(name, taken, body)

    made = [
        function(function_name(kind, adapter), kind, changes, adapter or "")
        for adapter, changes in [(None, {}), *adapters.items()]
        for kind in sizes
    ]
    return _joined(made, EXTEND)


def head_program(
    spec: DecoderSpec,
    weights: Weights,
    parts: Mapping[str, Cut],
    adapters: Mapping[str, Changes],
) -> Any:
    """The program of some parts of the output head, by the names of their outputs."""
    from coremltools.converters.mil.mil import Builder as mb
    from coremltools.converters.mil.mil import types

    taken = {HIDDEN: mb.TensorSpec((1, 1, 1, spec.width), dtype=types.fp16)}

    def function(name: str, changes: Changes, adapter: str) -> Any:
        linear = _Linear(weights, adapter, changes)

        def body(**inputs: Any) -> Any:
            x = mb.transpose(x=inputs[HIDDEN], perm=[0, 3, 1, 2])
            h = rms_norm(x, gain(weights, spec, spec.names.norm), spec.eps)
            return [logits(linear(h, cut, "head"), output) for output, cut in parts.items()]

        return program_of(name, taken, body)

    def logits(x: Any, output: str) -> Any:
        if spec.logit_cap is None:
            return mb.squeeze(x=x, axes=[2, 3], name=output)
        return soft_capped(mb.squeeze(x=x, axes=[2, 3]), spec.logit_cap, name=output)

    every = [(None, {}), *adapters.items()]
    return _joined([function(function_name(MAIN, n), c, n or "") for n, c in every], MAIN)


def masks_of(spec: DecoderSpec, part: Sequence[Half]) -> list[str]:
    """The masks that some halves of layers take."""
    layers = [spec.layers[half.layer] for half in part if half.kind == "attention"]
    every = mask_names(spec)
    return [name for name in every if name in {mask_of(spec, layer) for layer in layers}]


def mask_of(spec: DecoderSpec, layer: LayerSpec) -> str:
    """The mask that a layer takes."""
    return CAUSAL if layer.full else mask_names(spec)[-1]


def gain(weights: Weights, spec: DecoderSpec, name: str) -> Any:
    """The factors of a norm, along the channels."""
    factors = weights.small(name, spec.norm_offset)
    return shared_constant(plain_name(name), factors.reshape(1, -1, 1, 1))


def _joined(programs: Sequence[Any], default: str) -> Any:
    """One program with the functions of all."""
    whole = programs[0]
    for each in programs[1:]:
        for name, function in each.functions.items():
            whole.add_function(name, function)
    whole.default_function_name = default
    return whole


class _Linear:
    """Linear layers as 1x1 convolutions, with what an adapter adds to them."""

    def __init__(self, weights: Weights, adapter: str, changes: Changes) -> None:
        self.weights, self.adapter, self.changes = weights, adapter, changes

    def __call__(self, x: Any, cut: Cut, role: Role = "linear") -> Any:
        """(1, columns, 1, tokens) to (1, rows, 1, tokens)."""
        from coremltools.converters.mil.mil import Builder as mb

        rows, columns = (slice(*span) for span in cut.piece.of(self.weights.shapes[cut.name]))
        given = {"weight": self.weights.kernel(cut.name, cut.piece, role), "pad_type": "valid"}
        named = bias_of(cut.name)
        if named in self.weights.shapes and columns.start == 0:
            name = plain_name(named) + str(cut.piece)
            given["bias"] = shared_constant(name, self.weights.small(named)[rows])
        y = mb.conv(x=x, **given)
        change = self.changes.get(cut.name)
        if change is None:
            return y
        for part, matrix in (("down", change.down[:, columns]), ("up", change.up[rows])):
            name = f"{plain_name(cut.name)}{cut.piece}_{plain_name(self.adapter)}_{part}"
            narrow = to_float16(matrix, f"the adapter '{self.adapter}'")[:, :, None, None]
            x = mb.conv(x=x, weight=shared_constant(name, narrow), pad_type="valid")
        return mb.add(x=y, y=x)


class _Layers:
    """The operations of one function; the stream is (1, width, 1, tokens)."""

    def __init__(
        self,
        spec: DecoderSpec,
        weights: Weights,
        linear: _Linear,
        tokens: int,
        inputs: Mapping[str, Any],
    ) -> None:
        from coremltools.converters.mil.mil import Builder as mb

        self.spec, self.weights, self.linear, self.tokens = spec, weights, linear, tokens
        self.inputs, self.mb = inputs, mb

    def run(self, part: Sequence[Half]) -> Any:
        """The stream after some halves of layers."""
        import numpy as np

        mb, spec = self.mb, self.spec
        x = mb.transpose(x=self.inputs[HIDDEN], perm=[0, 3, 1, 2])
        if part[0] == Half(0, "attention") and spec.embedding_scale != 1:
            x = mb.mul(x=x, y=np.float16(spec.embedding_scale))
        caches = [self.inputs[name] for name in CACHES if name in self.inputs]
        self.update = self.inputs.get(UPDATE)
        self.made: tuple[list[Any], list[Any]] = ([], [])
        if caches:
            self._begin(part, caches)
        clipped = bool(spec.names.post_ffn_norm)
        for half in part:
            y = self._attention(x, half) if half.kind == "attention" else self._ffn(x, half)
            x = joined(x, self._after(y, half), clipped=clipped)
        for number, (state, made) in enumerate(zip(caches, self.made, strict=False)):
            whole = mb.concat(values=made, axis=1) if len(made) > 1 else made[0]
            if self.update is None:
                whole = mb.concat(values=[whole, self.old[number]], axis=3)
            mb.coreml_update_state(state=state, value=whole)
        return mb.transpose(x=x, perm=[0, 2, 3, 1], name="hiddenStatesOut")

    def _after(self, y: Any, half: Half) -> Any:
        """What half of a layer adds to the stream, normed if the decoder has norms there."""
        names = self.spec.names
        name = names.post_attention_norm if half.kind == "attention" else names.post_ffn_norm
        return y if name is None else self._norm(y, name, half)

    def _begin(self, part: Sequence[Half], caches: Sequence[Any]) -> None:
        """What all layers share: rotary positions, and the caches without what is new.

        Without `cacheUpdateMask` it is the beginning of a prompt.
        """
        import numpy as np

        mb, update = self.mb, self.update
        layers = [self.spec.layers[each.layer] for each in part if each.kind == "attention"]
        kinds = sorted({self.spec.is_local(layer) for layer in layers})
        if update is None:
            suffix = f"_{self.tokens}"
            self.angles = {kind: self._rotary(self.tokens, suffix, kind) for kind in kinds}
            self.old: list[Any] = [
                mb.slice_by_index(
                    x=mb.read_state(input=cache), begin=[0, 0, 0, self.tokens], end=[*cache.shape]
                )
                for cache in caches
            ]
            return
        columns, length = mb.transpose(x=update, perm=[0, 1, 3, 2]), state_length(self.spec)
        self.angles = {
            kind: [mb.matmul(x=table, y=columns) for table in self._rotary(length, "", kind)]
            for kind in kinds
        }
        new = update if self.tokens == 1 else mb.reduce_sum(x=update, axes=[2], keep_dims=True)
        kept = mb.sub(x=np.float16(1), y=new)
        counts = [layer.kv_heads for layer in layers]
        self.old = []
        for cache in caches:
            before = mb.mul(x=mb.read_state(input=cache), y=kept)
            self.old.append(self._split(before, counts))

    def _rotary(self, length: int, suffix: str, local: bool) -> list[Any]:
        """Cosines and sines of the first positions, (1, 1, half the head size, length)."""
        spec = replace(self.spec, context=length)
        scale = spec.scale**0.5  # of queries and of keys, so that of scores is its square
        return [
            shared_constant(name + suffix, table.T[None, None, : spec.head_dim // 2])
            for name, table in named_tables(spec, scale, local=local).items()
        ]

    def _split(self, x: Any, counts: Sequence[int]) -> list[Any]:
        """Parts of so many channels each."""
        if len(counts) == 1:
            return [x]
        return list(self.mb.split(x=x, split_sizes=list(counts), axis=1))

    def _attention(self, x: Any, half: Half) -> Any:
        mb, spec = self.mb, self.spec
        layer = spec.layers[half.layer]
        *qkv, output = cuts(spec, half)
        h = self._norm(x, spec.names.attention_norm, half)
        both, values = self._queries_and_keys(h, qkv, half)
        ones = [1] * layer.query_heads
        *queries, keys = self._split(self._rotated(both, layer), [*ones, layer.kv_heads])
        found = [
            self._split(self._remembered(number, new), [1] * layer.kv_heads)
            for number, new in enumerate((keys, values))
        ]
        sharing = layer.query_heads // layer.kv_heads
        mask = self.inputs[mask_of(spec, layer)]
        mixed = []
        for number, query in enumerate(queries):
            key, value = (each[number // sharing] for each in found)
            scores = mb.matmul(x=query, y=key, transpose_x=True)
            if spec.attention_cap is not None:
                scores = soft_capped(scores, spec.attention_cap)
            scores = mb.add(x=scores, y=mask)
            mixed.append(mb.matmul(x=mb.softmax(x=scores, axis=-1), y=value, transpose_y=True))
        heads = mb.concat(values=mixed, axis=1) if len(mixed) > 1 else mixed[0]
        together = mb.transpose(x=heads, perm=[0, 1, 3, 2])
        width = layer.query_heads * spec.head_dim
        return self.linear(mb.reshape(x=together, shape=[1, width, 1, self.tokens]), output)

    def _queries_and_keys(self, h: Any, qkv: Sequence[Cut], half: Half) -> tuple[Any, Any]:
        """The heads of queries and keys in one, (1, both, head size, tokens), and of values."""
        mb, layer, names = self.mb, self.spec.layers[half.layer], self.spec.names
        counts = layer.query_heads + layer.kv_heads, layer.kv_heads
        products = [self.linear(h, cut) for cut in qkv]
        if len(products) == 1:
            both, values = self._split(self._heads(products[0], sum(counts)), counts)
        else:
            both = self._heads(mb.concat(values=products[:2], axis=1), counts[0])
            values = self._heads(products[2], counts[1])
        if names.qk_norms:
            both = rms_norm(both, self._qk_gains(half), self.spec.eps, axis=2)
        return both, values

    def _qk_gains(self, half: Half) -> Any:
        """The factors of the norms of each head, those of queries and then those of keys."""
        import numpy as np

        layer = self.spec.layers[half.layer]
        names = [name.format(layer=half.layer) for name in self.spec.names.qk_norms]
        each = [
            self.weights.small(name, self.spec.norm_offset)[None].repeat(count, 0)
            for name, count in zip(names, (layer.query_heads, layer.kv_heads), strict=True)
        ]
        name = f"{plain_name(names[0])}_and_keys"
        return shared_constant(name, np.concatenate(each)[None, :, :, None])

    def _heads(self, x: Any, count: int) -> Any:
        """(1, count * head size, 1, tokens) to (1, count, head size, tokens)."""
        return self.mb.reshape(x=x, shape=[1, count, self.spec.head_dim, self.tokens])

    def _rotated(self, x: Any, layer: LayerSpec) -> Any:
        """Rotary positions, halves paired as in transformers, and the scale of attention.

        (1, heads, head size, tokens) to the same.
        """
        mb, (cos, sin) = self.mb, self.angles[self.spec.is_local(layer)]
        first, second = mb.split(x=x, num_splits=2, axis=2)
        return mb.concat(
            values=[
                mb.sub(x=mb.mul(x=first, y=cos), y=mb.mul(x=second, y=sin)),
                mb.add(x=mb.mul(x=second, y=cos), y=mb.mul(x=first, y=sin)),
            ],
            axis=2,
        )

    def _remembered(self, cache: int, new: Any) -> Any:
        """The keys (0) or values (1) of a layer, those of the new tokens at their positions."""
        mb, update = self.mb, self.update
        whole = new
        if update is not None:
            placed = mb.mul(x=new, y=update) if self.tokens == 1 else mb.matmul(x=new, y=update)
            whole = mb.add(x=self.old[cache][len(self.made[cache])], y=placed)
        self.made[cache].append(whole)
        return whole

    def _ffn(self, x: Any, half: Half) -> Any:
        """SwiGLU, in parts where it is too wide."""
        mb = self.mb
        h = self._norm(x, self.spec.names.ffn_norm, half)
        sums = None
        for gate, up, down in ffn_cuts(self.spec, half.layer):
            inner = mb.mul(x=activated(self.spec, self.linear(h, gate)), y=self.linear(h, up))
            y = self.linear(inner, down)
            sums = y if sums is None else mb.add(x=sums, y=y)
        return sums

    def _norm(self, x: Any, name: str, half: Half) -> Any:
        name = name.format(layer=half.layer)
        return rms_norm(x, gain(self.weights, self.spec, name), self.spec.eps)
