"""The format `torch`: the source itself, run by PyTorch; the reference that checks compare with.

- Language models of transformers, or of a module of the family's own: `TorchTextModel`.
- Other modules: `best_device` to run on, `Branches` for LoRA adapters, `cache_name` for what a
  module of transformers calls its cache.

These names are imported at their first use. The modules below are private.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.formats.torch.branches import Branches as Branches
    from zoo.formats.torch.text import TorchTextModel as TorchTextModel
    from zoo.formats.torch.text import best_device as best_device
    from zoo.formats.torch.text import cache_name as cache_name
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Branches": "zoo.formats.torch.branches",
            "TorchTextModel": "zoo.formats.torch.text",
            "best_device": "zoo.formats.torch.text",
            "cache_name": "zoo.formats.torch.text",
        },
    )

__all__ = [
    "Branches",
    "TorchTextModel",
    "best_device",
    "cache_name",
]
