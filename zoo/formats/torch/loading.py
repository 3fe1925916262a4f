"""Make a module of transformers from values and tensors of ours, never from a folder of its own.

`from_pretrained` of a folder decides for itself what to read: other weights, an adapter that lies
beside them, kernels and code that a config asks for; and it fills what is missing with random
numbers. Here it gets a config made of validated values and the weights themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.tensors import Tensors

ATTENTION, EAGER = "sdpa", "eager"
"""Where PyTorch's own attention cannot do what a model needs, such as soft caps, it is plain."""

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def make_module(values: Mapping[str, Any], tensors: Tensors, device: str) -> Any:
    """A causal language model of transformers, in evaluation mode on `device`.

    Args:
        values: of the config: `model_type`, and what its class takes. The caller has validated
            them, and has found `tensors` to be those that they describe.
        tensors: the weights: in float32 on a CPU, else in the type that they are stored as.
        device: `cpu`, `cuda` or `mps`.

    Raises:
        IntegrityError: weights that the module does not have, or lacks.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from zoo.tasks.text.tokenizer import quiet

    dtype = torch.float32 if device == "cpu" else stored_dtype(tensors)
    with quiet():
        config = AutoConfig.for_model(**values)
        kind = AutoModelForCausalLM._model_mapping[type(config)]
        names = tensors.shapes
        if config.tie_word_embeddings:
            names = {name: shape for name, shape in names.items() if name != "lm_head.weight"}
        weights = {name: torch.from_numpy(tensors.read(name)).to(dtype) for name in names}
        module, notes = kind.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=dtype,
            attn_implementation=ATTENTION if kind._supports_sdpa else EAGER,
            output_loading_info=True,
        )
    wrong = [*notes["missing_keys"], *notes["mismatched_keys"]]
    wrong += [name for name in notes["unexpected_keys"] if not name.endswith("inv_freq")]
    if wrong:
        raise IntegrityError(
            f"the weights in {tensors.folder} are not those of the module: '{wrong[0]}'"
        )
    return module.to(device).eval()


def stored_dtype(tensors: Tensors) -> Any:
    """The type in which most of the weights are stored, as PyTorch's."""
    import torch

    kinds = list(tensors.dtypes.values())
    known = [_DTYPES[kind] for kind in kinds if kind in _DTYPES]
    return getattr(torch, max(set(known), key=known.count)) if known else torch.float32
