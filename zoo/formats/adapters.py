"""LoRA adapters in the layouts of PEFT, of mlx-lm, of diffusers and of kohya's scripts.

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
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.safetensors import read_header
from zoo.formats.adapter_config import MERGE, Scale, scale_of_mlx, scale_of_peft
from zoo.formats.adapter_names import PARTS, Names
from zoo.formats.checkpoint import read_json
from zoo.formats.tensors import Tensors

CONFIG = "adapter_config.json"
PEFT_FILE, MLX_FILE = "adapter_model.safetensors", "adapters.safetensors"
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
PEFT_NAME = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<part>[AB])\.weight")
MLX_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<part>[ab])")
BASE = ".base_layer.weight"
"""What PEFT puts beside the parts of a head: the model's own matrix, unchanged."""

OTHER_KINDS = {
    "lora_magnitude_vector": "DoRA, which scales whole columns too",
    "lora_embedding_": "LoRA of the embedding",
    "lora_bias": "biases in the LoRA",
    "dora_scale": "DoRA, which scales whole columns too",
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "lora_mid": "LoCon with a core between its parts",
    "modules_to_save": "whole layers beside the LoRA",
}
"""Parts of names by which what is no plain LoRA is known."""


UNET = "unet"
KERNEL = 4
"""Axes of what a convolution of more than one pixel is changed by."""

FUSE = (
    "fuse it into its model with diffusers (load_lora_weights, fuse_lora, unload_lora_weights, "
    "save_pretrained), and give that pipeline's folder"
)


@dataclass(frozen=True)
class LowRank:
    """A low-rank change of a matrix, `up @ down`, as in LoRA (https://arxiv.org/abs/2106.09685).

    Attributes:
        down: float32 of shape (rank, columns of the matrix).
        up: float32 of shape (rows of the matrix, rank), multiplied by the scale of the adapter.
    """

    down: Any
    up: Any


def read_adapters(
    folders: Mapping[str, Path], shapes: Mapping[str, tuple[int, ...]], part: str | None = None
) -> dict[str, dict[str, LowRank]]:
    """Read LoRA adapters in the layouts of PEFT, mlx-lm and diffusers.

    Args:
        folders: adapter to its folder.
        shapes: weight to shape, of the matrices in the model's checkpoint.
        part: the component of a pipeline that the matrices belong to, such as `text_encoder`;
            changes to other components are ignored. `None` for a model without components.

    Returns: adapter to weight to its change.

    Raises:
        IntegrityError: an adapter is damaged, not supported, or for another model.
    """
    return {name: read_adapter(folder, shapes, part) for name, folder in folders.items()}


def read_adapter(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], part: str | None = None
) -> dict[str, LowRank]:
    """What the adapter in `folder` adds to which matrix; see `read_adapters`."""
    name, pattern = _layout(folder)
    if pattern is None:
        return _of_pipeline(folder, shapes, part)
    if part not in (None, UNET):
        return {}
    scale = _scale(folder, name)
    tensors = Tensors(folder, [folder / name])
    parts: dict[str, dict[str, str]] = {}
    for tensor in tensors.shapes:
        if tensor.endswith(BASE) and pattern is PEFT_NAME:
            _require_same_base(folder, tensor, tensors.shapes[tensor], shapes)
            continue
        match = pattern.fullmatch(tensor)
        if match is None:
            raise _no_part(folder, name, tensor)
        part = {"down": "a", "up": "b"}.get(match["part"], match["part"].lower())
        parts.setdefault(f"{match['module']}.weight", {})[part] = tensor
    if not parts:
        raise IntegrityError(f"{folder / name} has no LoRA weights")
    found = {}
    for weight, pair in parts.items():
        _require_whole(folder, weight, pair)
        first, second = tensors.read(pair["a"]), tensors.read(pair["b"])
        down, up = (first.T, second.T) if pattern is MLX_NAME else (_matrix(first), _matrix(second))
        if down.ndim != 2 or up.ndim != 2 or not len(down) or up.shape[1] != len(down):
            raise IntegrityError(f"the parts for '{weight}' in {folder} are of different ranks")
        _require_of_model(folder, weight, (up.shape[0], down.shape[1]), shapes)
        found[weight] = LowRank(down, up * scale.of(weight.removesuffix(".weight"), len(down)))
    return found


def _of_pipeline(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], part: str | None
) -> dict[str, LowRank]:
    """What an adapter of diffusers or of kohya's scripts adds to one component of a pipeline."""
    path = folder / DIFFUSERS_FILE
    names, tensors = Names(part or UNET, shapes), Tensors(folder, [path])
    changes: dict[str, dict[str, str]] = {}
    for tensor in tensors.shapes:
        if (place := names.find(tensor)) is None:
            raise _no_part(folder, path.name, tensor)
        component, weight, half = place
        if component == names.part:
            changes.setdefault(weight, {})[half] = tensor
        elif part is None:
            raise _no_part(folder, path.name, tensor)
    scale, found = _scale_of_pipeline(path, names.part), {}
    for weight, pair in changes.items():
        _require_whole(folder, weight, pair)
        down, up = _matrix(tensors.read(pair["a"])), _matrix(tensors.read(pair["b"]))
        if KERNEL in (down.ndim, up.ndim):
            raise IntegrityError(
                f"the adapter {folder} has '{pair['a'][:80]}': LoCon, which changes kernels of "
                "more than one pixel, and zoo does not apply it",
                FUSE,
            )
        if down.ndim != 2 or up.ndim != 2 or not len(down) or up.shape[1] != len(down):
            raise IntegrityError(f"the parts for '{weight}' in {folder} are of different ranks")
        _require_of_model(folder, weight, (up.shape[0], down.shape[1]), shapes)
        factor = scale.of(weight.removesuffix(".weight"), len(down))
        if "alpha" in pair:
            factor = float(tensors.read(pair["alpha"]).reshape(-1)[0]) / len(down)
        found[weight] = LowRank(down, up * factor)
    return found


def changed_parts(folder: Path) -> set[str]:
    """Return the components of a pipeline that an adapter changes, such as `unet`.

    Args:
        folder: the folder of the adapter.

    Raises:
        IntegrityError: the folder is not an adapter, or its header is damaged.
    """
    name, pattern = _layout(folder)
    if pattern is not None:
        return {UNET}
    names = Names(UNET, ())
    places = (names.find(tensor) for tensor in read_header(folder / name).tensors)
    return {place[0] for place in places if place is not None}


def _require_whole(folder: Path, weight: str, pair: Mapping[str, str]) -> None:
    if not pair.keys() >= {"a", "b"}:
        raise IntegrityError(
            f"the adapter {folder} has only one of the two matrices for '{weight}'"
        )


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
    raise IntegrityError(f"the adapter {folder} is for another model: {why}", hint)


def _without_kernel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[:2]) if tuple(shape[2:]) == (1, 1) else tuple(shape)


def _require_same_base(
    folder: Path, tensor: str, shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    module = tensor.removeprefix("base_model.model.").removesuffix(BASE)
    _require_of_model(folder, f"{module}.weight", (shape[0], shape[-1]), shapes)


def _no_part(folder: Path, name: str, tensor: str) -> IntegrityError:
    """Why a tensor is no part of an adapter that zoo applies, and what to do."""
    if tensor.startswith(("text_encoder", "lora_te")):
        return IntegrityError(
            f"the adapter {folder} changes the text encoder too ('{tensor[:80]}'), and zoo "
            "supports LoRA of the U-Net only",
            "take one that was trained on the U-Net alone, or save its U-Net's part by itself",
        )
    if kind := next((what for part, what in OTHER_KINDS.items() if part in tensor), None):
        return IntegrityError(
            f"the adapter {folder} has '{tensor[:80]}': {kind}, which zoo does not apply",
            FUSE if name == DIFFUSERS_FILE else MERGE,
        )
    return IntegrityError(f"'{tensor[:80]}' in {folder / name} is not a LoRA weight")


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).exists() and _layout(folder)[0] == DIFFUSERS_FILE:
        return {}
    return read_json(folder / CONFIG)


def _scale(folder: Path, name: str) -> Scale:
    """What the products of the adapter in `folder` are multiplied by."""
    config = _read_config(folder)
    try:
        if name == MLX_FILE:
            return scale_of_mlx(config)
        return scale_of_peft(config)
    except ValueError as error:
        raise IntegrityError(f"the adapter {folder} has {error}", MERGE) from error


def _scale_of_pipeline(path: Path, part: str) -> Scale:
    """What diffusers writes into the metadata; in older files, alpha is the rank."""
    written = read_header(path).metadata.get("lora_adapter_metadata")
    try:
        config = _config_of_part(json.loads(written) if written else {}, part)
    except (AttributeError, ValueError, RecursionError) as error:
        raise IntegrityError(f"the metadata of {path} cannot be read") from error
    if "lora_alpha" not in config:
        return Scale(fixed=1.0)
    try:
        return scale_of_peft(config)
    except ValueError as error:
        raise IntegrityError(f"the adapter {path.parent} has {error}", FUSE) from error


def _config_of_part(written: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The keys of one component; without its name before them, they are of the U-Net."""
    named = any(key.startswith(tuple(f"{one}." for one in PARTS)) for key in written)
    if not named:
        return dict(written) if part == UNET else {}
    prefix = f"{part}."
    return {k.removeprefix(prefix): value for k, value in written.items() if k.startswith(prefix)}


def _layout(folder: Path) -> tuple[str, re.Pattern[str] | None]:
    """The file of an adapter, and how its tensors are named; `None` for those of a pipeline."""
    layouts = (PEFT_FILE, PEFT_NAME), (MLX_FILE, MLX_NAME), (DIFFUSERS_FILE, None)
    for name, pattern in layouts:
        if (folder / name).is_file():
            return name, pattern
    raise IntegrityError(
        f"{folder} has neither {PEFT_FILE} (PEFT) nor {MLX_FILE} (mlx-lm) "
        f"nor {DIFFUSERS_FILE} (diffusers)"
    )
