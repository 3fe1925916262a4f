"""Quantize an MLX checkpoint one tensor at a time.

mlx-lm's own convert holds a whole output shard in memory; here the graph that it builds is lazy,
and each tensor is computed, written and dropped before the next. The bits are the same.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.files.safetensors import read_header
from zoo.formats.checkpoint import link_or_copy, read_config
from zoo.formats.mlx.loading import open_model
from zoo.progress import Progress

WEIGHTS = "model.safetensors"

NAMED = 3
"""Layers that a note names."""


def quantize(
    source: Path,
    target: Path,
    *,
    bits: int | None,
    group_size: int | None,
    mode: str,
    mix: str | None,
    progress: Progress,
) -> None:
    """Quantize a checkpoint.

    Linear layers and embeddings whose width is a multiple of the group size are quantized. Others
    are listed in a note.

    Args:
        source: the folder of an MLX checkpoint.
        target: the folder to write to.
        bits: bits per weight; `None` for the default of the mode.
        group_size: weights that share a scale; `None` for the default of the mode.
        mode: quantization mode of MLX, such as `affine`.
        mix: a mixed-precision recipe of mlx-lm, such as `mixed_4_6`, or `None`.
        progress: receives the bytes written.

    Raises:
        InputError: the source is already quantized.
    """
    if already := read_config(source).get("quantization"):
        raise InputError(
            f"the source is quantized by MLX already, to {already.get('bits')} bits, and cannot be "
            "quantized again",
            "run it as it is, with --build mlx, or take the checkpoint that it was made of",
            in_python='run it as it is, with build="mlx", or take the checkpoint it was made of',
        )
    parameters, config, kept = _lazy(source, bits, group_size, mode, mix)
    note_unquantized(kept, config["quantization"]["group_size"], progress)
    with no_cache():
        stored = write_tensors(parameters, target / WEIGHTS, progress)
    weights = _count(source)
    progress.note(f"{stored * 8 / weights:.2f} bits per weight")
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    for path in sorted(source.iterdir()):
        if path.name != "config.json" and ".safetensors" not in path.name:
            link_or_copy(path, target / path.name)


def _lazy(
    source: Path, bits: int | None, group_size: int | None, mode: str, mix: str | None
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The quantized parameters, none of them computed yet, with the config and what is left out."""
    from mlx.utils import tree_flatten
    from mlx_lm.convert import mixed_quant_predicate_builder
    from mlx_lm.utils import quantize_model

    model, config = open_model(source, lazy=True)
    predicate = mixed_quant_predicate_builder(mix, model, group_size or 64) if mix else None
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        model, config = quantize_model(
            model, config, group_size, bits, mode=mode, quant_predicate=predicate
        )
    kept = [
        name
        for name, module in model.named_modules()
        if hasattr(module, "to_quantized") and hasattr(module, "weight")
    ]
    kept.reverse()  # which MLX lists from the last to the first
    return dict(tree_flatten(model.parameters())), config, kept


def note_unquantized(layers: Sequence[str], group_size: int, progress: Progress) -> None:
    """Report the layers that stay as they are, because no whole number of groups fills a row.

    Args:
        layers: their names; there is no note without one.
        group_size: weights that share a scale.
        progress: receives the note.
    """
    if not layers:
        return
    more = f" and {len(layers) - NAMED} more" if len(layers) > NAMED else ""
    progress.note(
        "not quantized, because the width is not a multiple of the group size "
        f"{group_size}: {', '.join(layers[:NAMED])}{more}"
    )


def write_tensors(parameters: dict[str, Any], path: Path, progress: Progress) -> int:
    """Write arrays to one safetensors file, computing and freeing one after another.

    Args:
        parameters: name to an array of MLX, evaluated or not; the dictionary is emptied.
        path: the file to write.
        progress: receives the bytes written.

    Returns: the size of all tensors, in bytes.
    """
    import mlx.core as mx

    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    offset = 0
    for name, array in parameters.items():
        end = offset + array.nbytes
        dtype = _safetensors_type(array.dtype, mx)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        done = 0
        for name in list(parameters):
            tensor: Any = parameters.pop(name)
            mx.eval(tensor)
            raw: Any = mx.contiguous(tensor).reshape(-1).view(mx.uint8)
            file.write(memoryview(raw))
            done += tensor.nbytes
            del tensor, raw
            progress.update(done, offset)
    return offset


def _safetensors_type(dtype: Any, mx: Any) -> str:
    return {
        mx.float32: "F32",
        mx.float16: "F16",
        mx.bfloat16: "BF16",
        mx.uint32: "U32",
        mx.uint8: "U8",
        mx.int32: "I32",
    }[dtype]


def _count(folder: Path) -> int:
    """Number of weights in the safetensors of a folder, by their headers."""
    headers = (read_header(path) for path in folder.glob("*.safetensors"))
    return sum(prod(tensor.shape) for header in headers for tensor in header.tensors.values())


@contextmanager
def no_cache() -> Iterator[None]:
    """A context in which MLX returns freed memory to the system at once."""
    import mlx.core as mx

    before = mx.set_cache_limit(0)
    try:
        yield
    finally:
        mx.set_cache_limit(before)
