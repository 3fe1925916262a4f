"""Sliding windows for those classes of mlx-lm that have none, or not in every layer that wants one.

A layer with a window gets a mask of its own, and a cache that drops what lies before the window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature
from typing import Any

SLIDING = "sliding_attention"
WITHOUT = ("gemma2", "qwen2", "qwen3")
"""Model types whose classes let every layer see all tokens."""

BY_PATTERN = "gemma3_text"
"""The model type whose class has one layer without a window after each so many with one."""

Classes = tuple[type[Any], type[Any]]


def known_keys(model_type: str) -> frozenset[str]:
    """The keys of a config that mlx-lm's class for a model type reads; none without a class."""
    from mlx_lm.utils import MODEL_REMAPPING

    try:
        module = import_module(f"mlx_lm.models.{MODEL_REMAPPING.get(model_type, model_type)}")
    except ImportError:
        return frozenset()
    return frozenset(signature(module.ModelArgs).parameters)


def has_no_windows(model_type: str) -> bool:
    """Whether mlx-lm's class has no windows, and `window_classes` brings them."""
    return model_type in WITHOUT


def window_classes(config: Mapping[str, Any]) -> Callable[[dict[str, Any]], Classes] | None:
    """What gives a model's classes for `load_model`; `None` where mlx-lm's own ones do.

    Args:
        config: with `layer_types` if there are windows.
    """
    kinds, model_type = config.get("layer_types") or (), config.get("model_type")
    if SLIDING in kinds and model_type in (*WITHOUT, BY_PATTERN):
        return _windowed
    if kinds and set(kinds) == {SLIDING} and model_type in ("llama", "mistral"):
        return _sliding_llama
    return None


def _windowed(config: dict[str, Any]) -> Classes:
    """Classes in which each layer's mask and cache are those of its kind."""
    from mlx_lm.models.base import create_attention_mask
    from mlx_lm.models.cache import KVCache, RotatingKVCache

    arch = import_module(f"mlx_lm.models.{config['model_type']}")
    windows = [config["sliding_window"] if k == SLIDING else None for k in config["layer_types"]]
    by_pattern = config["model_type"] == BY_PATTERN

    class Layer(arch.TransformerBlock):  # type: ignore[misc,name-defined]
        def __init__(self, args: Any, window: int | None) -> None:
            # In a pattern of two, the first layer has a window and the second has none.
            place = (0 if window else 1,) if by_pattern else ()
            super().__init__(args, *place)
            self.window = window

        def __call__(self, x: Any, mask: Any = None, cache: Any = None) -> Any:
            mask = create_attention_mask(x, cache, self.window, return_array=True)
            return super().__call__(x, mask, cache)

    class Windowed(arch.Model):  # type: ignore[misc,name-defined]
        def __init__(self, args: Any) -> None:
            if by_pattern:
                args.sliding_window_pattern = 2
            super().__init__(args)
            self.model.layers = [Layer(args, window) for window in windows]
            self.model.sliding_window_pattern = 1  # Its masks are not used: it need make only one.

        def make_cache(self) -> list[Any]:
            return [RotatingKVCache(max_size=each) if each else KVCache() for each in windows]

    return Windowed, arch.ModelArgs


def _sliding_llama(config: dict[str, Any]) -> Classes:
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
