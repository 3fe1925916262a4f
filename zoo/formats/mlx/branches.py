"""Adapters in MLX: each adds its product beside a linear layer, and can be changed any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.formats.adapters import LowRank


class Branches:
    """The adapters of one module.

    Args:
        module: an `mlx.nn.Module` with a layer for every matrix that an adapter changes; linear,
            quantized or not. Those layers are replaced by mlx-lm's `LoRALinear` around them.
        adapters: for each, what it adds to the weight of which name.
    """

    def __init__(self, module: Any, adapters: Mapping[str, Mapping[str, LowRank]]) -> None:
        import mlx.core as mx
        from mlx.utils import tree_unflatten
        from mlx_lm.tuner.lora import LoRALinear

        weights = dict.fromkeys(weight for changes in adapters.values() for weight in changes)
        layers = dict(module.named_modules())
        self._layers = {}
        for weight in weights:
            name = weight.removesuffix(".weight")
            self._layers[weight] = LoRALinear.from_base(layers[name], r=1, scale=1.0)
        placed = [(weight.removesuffix(".weight"), layer) for weight, layer in self._layers.items()]
        module.update_modules(tree_unflatten(placed))
        self._parts = {
            adapter: {
                weight: (mx.array(change.down.T), mx.array(change.up.T))
                for weight, change in changes.items()
            }
            for adapter, changes in adapters.items()
        }
        self.use(None)

    def use(self, adapter: str | None) -> None:
        """Add the products of `adapter`, or of none."""
        import mlx.core as mx

        parts = self._parts[adapter] if adapter else {}
        for weight, layer in self._layers.items():
            down, up = parts.get(weight, (None, None))
            if down is None:
                down = mx.zeros((layer.lora_a.shape[0], 1), layer.lora_a.dtype)
                up = mx.zeros((1, layer.lora_b.shape[1]), layer.lora_b.dtype)
            layer.lora_a, layer.lora_b = down, up


def matrix_shapes(module: Any) -> dict[str, tuple[int, ...]]:
    """The shape of the weight of every linear layer, by name, as it is before quantization."""
    from mlx import nn

    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.QuantizedLinear):
            rows, columns = layer.weight.shape
            shapes[f"{name}.weight"] = (rows, columns * 32 // layer.bits)
        elif isinstance(layer, nn.Linear):
            shapes[f"{name}.weight"] = tuple(layer.weight.shape)
    return shapes
