"""Formats: how builds are stored and run, and helpers for families in any format.

- Checkpoints: `read_config`, `read_json`, `checkpoint_files` and `weight_files`. `Tensors` reads
  safetensors one tensor at a time.
- Builds: `link_or_copy` and `copy_text_files` add unchanged files to a build.
- LoRA adapters: `read_adapters`, `changed_parts`, `LowRank`.
- Options of a family: `read_options`, `read_pass`.
- Defining a format: `Format` describes it as data, `Weights` is the size of a model, and `Sampler`
  samples tokens if the runtime does not.

Helpers for one format are in `zoo.formats.coreml`, `zoo.formats.mlx` and `zoo.formats.torch`. All
other modules are private. Names are imported at their first use.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.catalogs.formats import Format as Format
    from zoo.catalogs.formats import Weights as Weights
    from zoo.formats.adapters import LowRank as LowRank
    from zoo.formats.adapters import changed_parts as changed_parts
    from zoo.formats.adapters import read_adapters as read_adapters
    from zoo.formats.checkpoint import checkpoint_files as checkpoint_files
    from zoo.formats.checkpoint import copy_text_files as copy_text_files
    from zoo.formats.checkpoint import link_or_copy as link_or_copy
    from zoo.formats.checkpoint import read_config as read_config
    from zoo.formats.checkpoint import read_json as read_json
    from zoo.formats.checkpoint import weight_files as weight_files
    from zoo.formats.options import read_options as read_options
    from zoo.formats.options import read_pass as read_pass
    from zoo.formats.sampling import Sampler as Sampler
    from zoo.formats.tensors import Tensors as Tensors
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Format": "zoo.catalogs.formats",
            "LowRank": "zoo.formats.adapters",
            "Sampler": "zoo.formats.sampling",
            "Tensors": "zoo.formats.tensors",
            "Weights": "zoo.catalogs.formats",
            "changed_parts": "zoo.formats.adapters",
            "checkpoint_files": "zoo.formats.checkpoint",
            "copy_text_files": "zoo.formats.checkpoint",
            "link_or_copy": "zoo.formats.checkpoint",
            "read_adapters": "zoo.formats.adapters",
            "read_config": "zoo.formats.checkpoint",
            "read_json": "zoo.formats.checkpoint",
            "read_options": "zoo.formats.options",
            "read_pass": "zoo.formats.options",
            "weight_files": "zoo.formats.checkpoint",
        },
    )

__all__ = [
    "Format",
    "LowRank",
    "Sampler",
    "Tensors",
    "Weights",
    "changed_parts",
    "checkpoint_files",
    "copy_text_files",
    "link_or_copy",
    "read_adapters",
    "read_config",
    "read_json",
    "read_options",
    "read_pass",
    "weight_files",
]
