"""Instantiate models of transformers from validated config values and tensors, not from folders.

Given a folder, `from_pretrained` chooses what to read: other weight files, an adapter beside them,
kernels and code that the config names. It initializes missing weights randomly. Here it receives a
config object with validated values, and the weights as a state dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.tensors import Tensors

ATTENTION, EAGER = "sdpa", "eager"
"""Attention implementations of transformers: eager for models that SDPA does not support, such as
those with soft caps."""

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def make_module(values: Mapping[str, Any], tensors: Tensors, device: str) -> Any:
    """Return a causal language model of transformers in evaluation mode.

    Args:
        values: `model_type` and the arguments of its config class. The caller has validated them,
            and has compared the names and shapes of `tensors` with them.
        tensors: the weights. They are loaded in float32 on a CPU, else in the stored dtype.
        device: `cpu`, `cuda` or `mps`.

    Raises:
        IntegrityError: a weight is missing, unexpected or of another shape.
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
    """Return the PyTorch dtype that most of the tensors are stored in; float32 if none is known."""
    import torch

    kinds = list(tensors.dtypes.values())
    known = [_DTYPES[kind] for kind in kinds if kind in _DTYPES]
    return getattr(torch, max(set(known), key=known.count)) if known else torch.float32
