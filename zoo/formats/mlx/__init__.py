"""The format `mlx`: what a family may use to convert, quantize and run models with MLX.

- Language models of mlx-lm: `MLXTextModel`; `write_checkpoint` lays a checkpoint ready for it.
- Modules of a family's own: `computes_on_cpu`, where half precision is slow; `read_quantize` for
  the options of the pass, `note_unquantized` for layers left out; `write_tensors` within
  `no_cache` to write weights one at a time; `Branches` and `matrix_shapes` for LoRA adapters.

These names are imported at their first use. The modules below are private.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.formats.mlx.branches import Branches as Branches
    from zoo.formats.mlx.branches import matrix_shapes as matrix_shapes
    from zoo.formats.mlx.description import Quantize as Quantize
    from zoo.formats.mlx.description import read_quantize as read_quantize
    from zoo.formats.mlx.loading import computes_on_cpu as computes_on_cpu
    from zoo.formats.mlx.loading import write_checkpoint as write_checkpoint
    from zoo.formats.mlx.quantize import no_cache as no_cache
    from zoo.formats.mlx.quantize import note_unquantized as note_unquantized
    from zoo.formats.mlx.quantize import write_tensors as write_tensors
    from zoo.formats.mlx.text import MLXTextModel as MLXTextModel
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "Branches": "zoo.formats.mlx.branches",
            "MLXTextModel": "zoo.formats.mlx.text",
            "Quantize": "zoo.formats.mlx.description",
            "computes_on_cpu": "zoo.formats.mlx.loading",
            "matrix_shapes": "zoo.formats.mlx.branches",
            "no_cache": "zoo.formats.mlx.quantize",
            "note_unquantized": "zoo.formats.mlx.quantize",
            "read_quantize": "zoo.formats.mlx.description",
            "write_checkpoint": "zoo.formats.mlx.loading",
            "write_tensors": "zoo.formats.mlx.quantize",
        },
    )

__all__ = [
    "Branches",
    "MLXTextModel",
    "Quantize",
    "computes_on_cpu",
    "matrix_shapes",
    "no_cache",
    "note_unquantized",
    "read_quantize",
    "write_checkpoint",
    "write_tensors",
]
