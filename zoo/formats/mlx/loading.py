"""Open an MLX checkpoint folder with mlx-lm's own classes, mended where they fall short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.formats.checkpoint import read_config


def open_model(folder: Path, *, lazy: bool = False) -> tuple[Any, dict[str, Any]]:
    """The module and the config of a checkpoint; `lazy` leaves the weights on disk until used.

    Raises:
        IntegrityError: no safetensors, or a model that wants code of its own.
    """
    config = read_config(folder)
    from mlx_lm.utils import load_model

    options: dict[str, Any] = {"lazy": lazy}
    kinds = set(config.get("layer_types") or ())
    if config.get("model_type") in ("llama", "mistral") and kinds == {"sliding_attention"}:
        options["get_model_classes"] = _sliding_llama
    module, config = load_model(folder, **options)
    return module, config


def mlx_name(name: str) -> str:
    """What a weight file is called in an MLX checkpoint: mlx-lm reads `model*.safetensors`."""
    return name if name.startswith("model") else f"model-{name}"


def _sliding_llama(config: dict[str, Any]) -> tuple[type[Any], type[Any]]:
    """mlx-lm's Llama with a window in every layer; its own wants one layer without."""
    from mlx_lm.models import llama

    class SlidingLlama(llama.Model):  # type: ignore[misc]
        def __init__(self, args: Any) -> None:
            args.layer_types = ["full_attention"] * args.num_hidden_layers
            super().__init__(args)
            self.model.swa_idx = 0
            for layer in self.layers:
                layer.use_sliding = True

    return SlidingLlama, llama.ModelArgs
