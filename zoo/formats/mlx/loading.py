"""Load MLX checkpoint folders with the classes of mlx-lm, corrected where needed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.checkpoint import (
    copy_text_files,
    link_or_copy,
    read_config,
    weight_files,
)
from zoo.formats.mlx.windows import has_no_windows, known_keys, window_classes
from zoo.formats.quantized import quantization_of


def open_model(folder: Path, *, lazy: bool = False) -> tuple[Any, dict[str, Any]]:
    """Return the module and the config of a checkpoint.

    Args:
        folder: the checkpoint, in the layout of mlx-lm.
        lazy: whether weights stay on disk until they are used.

    Raises:
        IntegrityError: it has no safetensors, or requires remote code.
    """
    config = read_config(folder)
    from mlx_lm.utils import load_model

    options: dict[str, Any] = {"lazy": lazy}
    if windows := window_classes(config):
        options["get_model_classes"] = windows
    module, config = load_model(folder, **options)
    return module, config


def write_checkpoint(
    source: Path, config: Mapping[str, Any], target: Path, must_read: Collection[str] = ()
) -> None:
    """Write an MLX checkpoint: the weights and tokenizer of the source, with a new config.

    Args:
        source: the checkpoint, whose weights the family has compared with the config.
        config: the config, in the keys of mlx-lm.
        target: the folder to write to.
        must_read: keys of the config that change what the model computes. mlx-lm silently ignores
            those that its class for a model type does not have.

    Raises:
        IntegrityError: the source is quantized, but not by MLX; or mlx-lm has no class for the
            model type; or its class ignores one of `must_read`.
    """
    if must_read:
        _require_read(str(config["model_type"]), must_read)
    quantization = quantization_of(source)
    if "quantization_config" in quantization:
        raise IntegrityError(
            f"{source} is quantized to FP8, which mlx does not read",
            "choose another format, such as --format torch, or take the original checkpoint",
            in_python='choose another format, such as format="torch", or the original checkpoint',
        )
    if quantization:
        quantization["quantization_config"] = quantization["quantization"]  # mlx-lm writes both
    text = json.dumps({**config, **quantization}, indent=2, sort_keys=True)
    (target / "config.json").write_text(text)
    for path in weight_files(source):
        # mlx-lm reads what is called `model*.safetensors`
        name = path.name if path.name.startswith("model") else f"model-{path.name}"
        link_or_copy(path, target / name)
    copy_text_files(source, target)


def computes_on_cpu() -> bool:
    """Return whether MLX runs on a CPU, where half precision is much slower than float32."""
    import mlx.core as mx

    return bool(mx.default_device().type == mx.DeviceType.cpu)


def _require_read(model_type: str, keys: Collection[str]) -> None:
    """Reject config keys that mlx-lm's class for a model type ignores."""
    known = known_keys(model_type)
    for key in keys:
        if key not in known and not (key == "sliding_window" and has_no_windows(model_type)):
            raise IntegrityError(
                f"mlx does not support '{key}' in a model of the type '{model_type}': mlx-lm's "
                "class does not read it",
                "choose another format, such as --format torch",
                in_python='choose another format, such as format="torch"',
            )
