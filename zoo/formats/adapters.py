"""LoRA adapters in the layouts of PEFT, of mlx-lm and of diffusers.

An adapter adds `up @ down` to some matrices of a model, each product of a low rank
(https://arxiv.org/abs/2106.09685). PEFT: https://huggingface.co/docs/peft/developer_guides/lora;
mlx-lm: https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/LORA.md; diffusers:
https://huggingface.co/docs/diffusers/tutorials/using_peft_for_inference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.safetensors import read_header
from zoo.formats.checkpoint import read_json
from zoo.formats.tensors import Tensors

CONFIG = "adapter_config.json"
PEFT_FILE, MLX_FILE = "adapter_model.safetensors", "adapters.safetensors"
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
PEFT_NAME = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<part>[AB])\.weight")
DIFFUSERS_NAME = re.compile(
    r"unet\.(?P<module>.+)\.lora(?:_|\.)(?P<part>[AB]|down|up)(?:\.default)?\.weight"
)
MLX_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<part>[ab])")
UNKNOWN_TO_PEFT = {
    "bias": "none",
    "use_dora": False,
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "layer_replication": None,
    "target_parameters": None,
}
"""Options of PEFT that change more than the product, and the value at which they do nothing."""


@dataclass(frozen=True)
class LowRank:
    """What an adapter adds to one matrix: `up @ down`.

    Attributes:
        down: float32 of shape (rank, columns of the matrix).
        up: float32 of shape (rows of the matrix, rank), the adapter's scale in it.
    """

    down: Any
    up: Any


def read_adapters(
    folders: Mapping[str, Path], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, dict[str, LowRank]]:
    """For each adapter, what it adds to which matrix.

    Args:
        folders: the folder of each adapter.
        shapes: of the model's matrices, by the names in its checkpoint.

    Raises:
        IntegrityError: an adapter is damaged, of a kind that is not known, or of another model.
    """
    return {name: read_adapter(folder, shapes) for name, folder in folders.items()}


def read_adapter(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, LowRank]:
    """What the adapter in `folder` adds to which matrix; see `read_adapters`."""
    config = _read_config(folder)
    name, pattern = _layout(folder)
    tensors = Tensors(folder, [folder / name])
    parts: dict[str, dict[str, str]] = {}
    for tensor in tensors.shapes:
        match = pattern.fullmatch(tensor)
        if match is None and tensor.startswith("text_encoder"):
            raise IntegrityError(
                f"the adapter {folder} changes the text encoder too ('{tensor}'), and zoo knows "
                "LoRA of the U-Net alone",
                "take one that was trained on the U-Net alone, or save its U-Net's part by itself",
            )
        if match is None:
            raise IntegrityError(f"'{tensor}' in {folder / name} is no part of a LoRA adapter")
        part = {"down": "a", "up": "b"}.get(match["part"], match["part"].lower())
        parts.setdefault(f"{match['module']}.weight", {})[part] = tensor
    found = {}
    for weight, pair in parts.items():
        if pair.keys() != {"a", "b"}:
            raise IntegrityError(f"the adapter {folder} has but half of what it adds to '{weight}'")
        first, second = tensors.read(pair["a"]), tensors.read(pair["b"])
        down, up = (first.T, second.T) if pattern is MLX_NAME else (_matrix(first), _matrix(second))
        _require_of_model(folder, weight, (up.shape[0], down.shape[1]), shapes)
        if up.shape[1] != down.shape[0]:
            raise IntegrityError(f"the parts for '{weight}' in {folder} are of different ranks")
        found[weight] = LowRank(down, up * _scale(config, weight, len(down)))
    return found


def adapter_files(folder: Path) -> list[Path]:
    """The files of an adapter: its config and its weights."""
    name, _ = _layout(folder)
    return [path for path in (folder / CONFIG, folder / name) if path.exists()]


def _matrix(array: Any) -> Any:
    """Without the sides of a kernel of one pixel, as 1x1 convolutions have them."""
    return array[..., 0, 0] if array.ndim == 4 and array.shape[2:] == (1, 1) else array


def _require_of_model(
    folder: Path, weight: str, shape: tuple[int, int], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    if weight not in shapes:
        why = f"it changes '{weight}', which this model does not have"
    elif (here := _without_kernel(shapes[weight])) != shape:
        why = f"it changes '{weight}' in the shape {shape}, and here it is {here}"
    else:
        return
    base = _read_config(folder).get("base_model_name_or_path") or _read_config(folder).get("model")
    hint = f"it was made for '{base}'" if base else None
    raise IntegrityError(f"the adapter {folder} is of another model: {why}", hint)


def _without_kernel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[:2]) if tuple(shape[2:]) == (1, 1) else tuple(shape)


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).exists() and _layout(folder)[0] == DIFFUSERS_FILE:
        return _config_of_diffusers(folder / DIFFUSERS_FILE)
    path = folder / CONFIG
    config = read_json(path)
    kind = str(config.get("peft_type") or config.get("fine_tune_type") or "lora")
    if kind.lower() != "lora":
        raise IntegrityError(f"{path} is of the kind '{kind}'; zoo knows LoRA")
    for key, plain in UNKNOWN_TO_PEFT.items():
        if config.get(key) not in (plain, None, [], {}):
            raise IntegrityError(f"{path} has {key} = {config[key]!r}, which zoo does not know")
    return config


def _config_of_diffusers(path: Path) -> dict[str, Any]:
    """What diffusers writes into the metadata; in older files, that alpha is the rank."""
    written = read_header(path).metadata.get("lora_adapter_metadata")
    try:
        found = json.loads(written) if written else {}
        config = {key.removeprefix("unet."): value for key, value in found.items()}
    except (AttributeError, ValueError) as error:
        raise IntegrityError(f"the metadata of {path} cannot be read: {error}") from error
    return config if "lora_alpha" in config else {**config, "lora_parameters": {"scale": 1.0}}


def _layout(folder: Path) -> tuple[str, re.Pattern[str]]:
    layouts = (PEFT_FILE, PEFT_NAME), (MLX_FILE, MLX_NAME), (DIFFUSERS_FILE, DIFFUSERS_NAME)
    for name, pattern in layouts:
        if (folder / name).is_file():
            return name, pattern
    raise IntegrityError(
        f"{folder} has neither {PEFT_FILE} (PEFT) nor {MLX_FILE} (mlx-lm) "
        f"nor {DIFFUSERS_FILE} (diffusers)"
    )


def _scale(config: dict[str, Any], weight: str, rank: int) -> float:
    """What the product is multiplied by."""
    try:
        if "lora_parameters" in config:
            return float(config["lora_parameters"]["scale"])
        if "lora_alpha" not in config:
            raise KeyError("lora_alpha")
        alpha = float(_of_pattern(config.get("alpha_pattern"), weight, config["lora_alpha"]))
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"{CONFIG} of the adapter does not tell its scale: {error!r}"
        ) from error
    return alpha / (sqrt(rank) if config.get("use_rslora") else rank)


def _of_pattern(patterns: Any, weight: str, default: Any) -> Any:
    """What the first pattern that a module's name ends with says, as PEFT matches them."""
    module = weight.removesuffix(".weight")
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return value
    return default
