"""The usual way to a stateful Core ML Mistral: trace transformers' model and convert it.

    python benchmarks/plain_coreml.py SOURCE OUT.mlpackage [4]

prints seconds and peak mebibytes as JSON; 4 quantizes the weights to four bits afterwards. Written
after Apple's guide to stateful models and its article on Mistral
(https://apple.github.io/coremltools/docs-guides/source/stateful-models.html), with what today's
versions of the packages need to get through.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import coremltools as ct
import numpy as np
import torch
from coremltools.converters.mil.frontend.torch import ops
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AutoModelForCausalLM

CONTEXT = 256


def attention(
    module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any
) -> tuple[Any, None]:
    """Attention without an explicit scale, which would keep coremltools from fusing it."""
    groups = module.num_key_value_groups
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).contiguous(), None


def to_constant(context: Any, node: Any, dtype: Any, name: str) -> None:
    """Casts of arrays with one entry, which NumPy 2.4 refuses to take for numbers."""
    (x,) = ops._get_inputs(context, node, expected=1)
    if x.can_be_folded_to_const():
        value = dtype(np.asarray(x.val).item())
        context.add(ops.mb.const(val=value, name=node.name), node.name)
    else:
        original_cast(context, node, dtype, name)


original_cast, ops._cast = ops._cast, to_constant


class Cache:
    """What transformers takes for its cache of keys and values, in two buffers."""

    is_compileable = False

    def __init__(self, keys: Any, values: Any, start: int, end: int) -> None:
        self.keys, self.values, self.start, self.end = keys, values, start, end

    def update(
        self, key: Any, value: Any, layer: int, *rest: Any, **options: Any
    ) -> tuple[Any, Any]:
        self.keys[layer : layer + 1, :, :, self.start : self.end, :] = key[None]
        self.values[layer : layer + 1, :, :, self.start : self.end, :] = value[None]
        return self.keys[layer, :, :, : self.end, :], self.values[layer, :, :, : self.end, :]

    def get_seq_length(self, *rest: Any) -> int:
        return self.start


class Stateful(torch.nn.Module):
    """The model, whose keys and values are buffers that become states."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.head, config = model.model, model.lm_head, model.config
        head_dim = config.hidden_size // config.num_attention_heads
        self.shape = (config.num_hidden_layers, 1, config.num_key_value_heads, CONTEXT, head_dim)
        self.register_buffer("keyCache", torch.zeros(self.shape))
        self.register_buffer("valueCache", torch.zeros(self.shape))

    def forward(self, ids: Any, mask: Any) -> Any:
        given, end = mask.shape[-2], mask.shape[-1]
        cache = Cache(self.keyCache, self.valueCache, end - given, end)
        x = self.model.embed_tokens(ids)
        places = (torch.arange(0, given) + (end - given))[None]
        rotary = self.model.rotary_emb(x, position_ids=places)
        for layer in self.model.layers:
            x = layer(
                x,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                position_embeddings=rotary,
            )
        return self.head(self.model.norm(x))


def convert(source: str) -> ct.models.MLModel:
    """The converted model of the checkpoint folder `source`."""
    AttentionInterface.register("coreml", attention)
    model = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.float32, attn_implementation="coreml"
    )
    module = Stateful(model.eval())
    with torch.inference_mode():
        traced = torch.jit.trace(module, (torch.zeros(1, 2).int(), torch.zeros(1, 1, 2, 5)))
    given, end = ct.RangeDim(1, CONTEXT, 1), ct.RangeDim(1, CONTEXT, 1)
    return ct.convert(
        traced,
        inputs=[
            ct.TensorType("inputIds", shape=(1, given), dtype=np.int32),
            ct.TensorType("causalMask", shape=(1, 1, given, end), dtype=np.float16),
        ],
        outputs=[ct.TensorType("logits", dtype=np.float16)],
        states=[
            ct.StateType(ct.TensorType(shape=module.shape, dtype=np.float16), name=name)
            for name in ("keyCache", "valueCache")
        ],
        minimum_deployment_target=ct.target.iOS18,
        skip_model_load=True,
    )


def main() -> None:
    start = time.perf_counter()
    source, out, *bits = sys.argv[1:]
    made = convert(source)
    if bits:
        from coremltools.optimize import coreml as optimize

        options = optimize.OpLinearQuantizerConfig(
            mode="linear_symmetric", dtype=f"int{bits[0]}", granularity="per_block", block_size=32
        )
        config = optimize.OptimizationConfig(global_config=options)
        made = optimize.linear_quantize_weights(made, config)
    made.save(out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([time.perf_counter() - start, peak / 1024]))


if __name__ == "__main__":
    main()
