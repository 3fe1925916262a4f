"""Families of decoder-only language models as data, for torch, MLX and Core ML at once.

- `DecoderFamily`: what tells a family from others of its kind; it brings the hooks.
- `DecoderConfig`: the architecture of one checkpoint, as its `read` returns it.
- `FullLayers`: which of its layers have no window, where others have one.
- `Rope`: the rotary positions, in every spelling of a config, `llama3` and YaRN among them.
- `for_transformers`, `for_mlx`, `for_coreml`: what a config means in each format.

These names are imported at their first use. The modules below are private.
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
