"""Adapters in PyTorch: each adds its product beside a linear layer, and can be changed any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.formats.adapters import LowRank


class Branches:
    """LoRA adapters of a PyTorch module, switched without changing its weights.

    Args:
        module: a module with a `torch.nn.Linear`, or a convolution with a kernel size of 1, for
            every matrix that an adapter changes.
        adapters: adapter to weight to its change, as from `read_adapters`.
    """

    def __init__(self, module: Any, adapters: Mapping[str, Mapping[str, LowRank]]) -> None:
        import torch

        self._weights: dict[str, float] = {}
        place = next(module.parameters())
        self._parts: dict[tuple[str, str], tuple[Any, Any]] = {}
        for adapter, changes in adapters.items():
            for weight, change in changes.items():
                down, up = torch.tensor(change.down), torch.tensor(change.up)
                self._parts[adapter, weight] = (down.to(place), up.to(place))
        for weight in dict.fromkeys(weight for _, weight in self._parts):
            layer = module.get_submodule(weight.removesuffix(".weight"))
            layer.register_forward_hook(self._hook(weight))

    def use(self, weights: Mapping[str, float]) -> None:
        """Select adapters: add their products, each scaled by its weight.

        Args:
            weights: adapter to weight; empty for the plain module.
        """
        self._weights = dict(weights)

    def _hook(self, weight: str) -> Any:
        import torch

        def add(layer: Any, inputs: tuple[Any], output: Any) -> Any:
            for adapter, scale in self._weights.items():
                if (adapter, weight) not in self._parts:
                    continue
                down, up = self._parts[adapter, weight]
                if isinstance(layer, torch.nn.Conv2d):
                    low = torch.einsum("rc,nchw->nrhw", down, inputs[0])
                    output = output + scale * torch.einsum("dr,nrhw->ndhw", up, low)
                else:
                    output = output + scale * (inputs[0] @ down.T @ up.T)
            return output

        return add
