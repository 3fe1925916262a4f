"""The format `torch`: the source itself, run by PyTorch; the reference that checks compare with.

- Language models of transformers, or of a module of the family's own: `TorchTextModel`.
- Other modules: `best_device` to run on and `stored_dtype` to run in, within `computing`;
  `make_module` for one of transformers, from values and tensors that the family has validated;
  `Branches` for LoRA adapters; `cache_name` for what a module of transformers calls its cache.

These names are imported at their first use. The modules below are private.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.formats.torch.branches import Branches as Branches
    from zoo.formats.torch.device import best_device as best_device
    from zoo.formats.torch.inference import computing as computing
    from zoo.formats.torch.loading import make_module as make_module
    from zoo.formats.torch.loading import stored_dtype as stored_dtype
    from zoo.formats.torch.text import TorchTextModel as TorchTextModel
    from zoo.formats.torch.text import cache_name as cache_name
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Branches": "zoo.formats.torch.branches",
            "TorchTextModel": "zoo.formats.torch.text",
            "best_device": "zoo.formats.torch.device",
            "cache_name": "zoo.formats.torch.text",
            "computing": "zoo.formats.torch.inference",
            "make_module": "zoo.formats.torch.loading",
            "stored_dtype": "zoo.formats.torch.loading",
        },
    )

__all__ = [
    "Branches",
    "TorchTextModel",
    "best_device",
    "cache_name",
    "computing",
    "make_module",
    "stored_dtype",
]
