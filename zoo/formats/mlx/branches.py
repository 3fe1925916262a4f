"""Adapters in MLX: each adds its product beside a linear layer, and can be changed any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.formats.adapters import LowRank


class Branches:
    """LoRA adapters of an MLX module, switched without changing its weights.

    Args:
        module: an `mlx.nn.Module` with a linear layer, quantized or not, for every matrix that an
            adapter changes. These layers are wrapped in mlx-lm's `LoRALinear`.
        adapters: adapter to weight to its change, as from `read_adapters`.
    """

    def __init__(self, module: Any, adapters: Mapping[str, Mapping[str, LowRank]]) -> None:
        self._module, self._adapters = module, adapters
        self._layers: dict[str, Any] = {}

    def use(self, weights: Mapping[str, float]) -> None:
        """Select adapters: add their products, each scaled by its weight.

        Layers are wrapped at the first use, because importing `LoRALinear` takes about as long as a
        model needs for its first token.

        Args:
            weights: adapter to weight; empty for the plain module.
        """
        if weights and not self._layers:
            self._replace_layers()
        if not self._layers:
            return
        import mlx.core as mx

        for name, layer in self._layers.items():
            changes = [
                (self._adapters[adapter][name], scale)
                for adapter, scale in weights.items()
                if name in self._adapters[adapter]
            ]
            if changes:  # the sum of products is one product of a higher rank
                down = mx.concatenate([mx.array(change.down.T) for change, _ in changes], axis=1)
                up = mx.concatenate([mx.array(change.up.T) * scale for change, scale in changes])
            else:
                down = mx.zeros((layer.lora_a.shape[0], 1), layer.lora_a.dtype)
                up = mx.zeros((1, layer.lora_b.shape[1]), layer.lora_b.dtype)
            layer.lora_a, layer.lora_b = down, up

    def _replace_layers(self) -> None:
        from mlx.utils import tree_unflatten
        from mlx_lm.tuner.lora import LoRALinear

        layers = dict(self._module.named_modules())
        for weight in dict.fromkeys(name for each in self._adapters.values() for name in each):
            base = layers[weight.removesuffix(".weight")]
            self._layers[weight] = LoRALinear.from_base(base, r=1, scale=1.0)
        placed = [(weight.removesuffix(".weight"), layer) for weight, layer in self._layers.items()]
        self._module.update_modules(tree_unflatten(placed))


def matrix_shapes(module: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of the weight of every linear layer, by name, before quantization."""
    from mlx import nn

    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.QuantizedLinear):
            rows, columns = layer.weight.shape
            shapes[f"{name}.weight"] = (rows, columns * 32 // layer.bits)
        elif isinstance(layer, nn.Linear):
            shapes[f"{name}.weight"] = tuple(layer.weight.shape)
    return shapes
