"""Declare families of decoder-only language models as data, for PyTorch, MLX and Core ML.

- `DecoderFamily`: declares a family, and provides its hooks in each format.
- `DecoderConfig`: the architecture of one checkpoint, as `DecoderFamily.read` returns it.
- `FullLayers`: which layers attend to all tokens, in families whose other layers have a window.
- `Rope`: rotary position embeddings (RoPE) with scaling, such as `llama3` and YaRN.
- `for_transformers`, `for_mlx`, `for_coreml`: convert a config for each format.

All other modules are private. Names are imported at their first use.
"""

from typing import TYPE_CHECKING

from zoo.lazy import attach

if TYPE_CHECKING:
    from zoo.decoders.config import DecoderConfig as DecoderConfig
    from zoo.decoders.family import DecoderFamily as DecoderFamily
    from zoo.decoders.layout import for_coreml as for_coreml
    from zoo.decoders.layout import for_mlx as for_mlx
    from zoo.decoders.layout import for_transformers as for_transformers
    from zoo.decoders.rope import Rope as Rope
    from zoo.decoders.traits import FullLayers as FullLayers
else:
    __getattr__, __dir__ = attach(
        __name__,
        {
            "DecoderConfig": "zoo.decoders.config",
            "DecoderFamily": "zoo.decoders.family",
            "FullLayers": "zoo.decoders.traits",
            "Rope": "zoo.decoders.rope",
            "for_coreml": "zoo.decoders.layout",
            "for_mlx": "zoo.decoders.layout",
            "for_transformers": "zoo.decoders.layout",
        },
    )

__all__ = [
    "DecoderConfig",
    "DecoderFamily",
    "FullLayers",
    "Rope",
    "for_coreml",
    "for_mlx",
    "for_transformers",
]
