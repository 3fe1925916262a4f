"""Sources whose weights are quantized already: those of MLX and of FP8 in blocks, read exactly.

MLX (https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html):
integers of 2 to 8 bits, packed from the lowest bit on into 32-bit words, with a scale and a bias
for each group of a row. FP8 (https://huggingface.co/docs/transformers/quantization/finegrained_fp8):
8-bit floats of the kind E4M3, with a scale for each block of a matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.checkpoint import read_json

KEYS = ("quantization", "quantization_config")
MLX_BITS = (2, 3, 4, 5, 6, 8)
ORIGINAL = "take the checkpoint that it was made of, in 16 or 32 bits"

PRODUCTS = {
    "gptq": "GPTQ", "awq": "AWQ", "bitsandbytes": "bitsandbytes", "hqq": "HQQ", "eetq": "EETQ",
    "compressed-tensors": "compressed-tensors", "fbgemm_fp8": "FBGEMM FP8", "torchao": "torchao",
    "quanto": "Quanto", "aqlm": "AQLM", "vptq": "VPTQ", "higgs": "HIGGS", "mxfp4": "MXFP4",
    "bitnet": "BitNet", "spqr": "SpQR", "modelopt": "ModelOpt", "auto-round": "AutoRound",
}  # fmt: skip
"""Quantized checkpoints that are named and refused."""

FOREIGN_PARTS = (".qweight", ".qzeros", ".weight_packed", ".weight.absmax", ".weight.quant_map")
"""Endings of tensors by which such a checkpoint is known when its config does not tell."""


@dataclass(frozen=True)
class Packed:
    """How one matrix is stored: in several tensors, of which `weight` is the first.

    Attributes:
        shape: of the matrix.
        parts: the names of its tensors.
        bits: of one integer; 0 for FP8.
        group: weights of a row that share a scale; of FP8, the sides of a block.
    """

    shape: tuple[int, ...]
    parts: tuple[str, ...]
    bits: int
    group: tuple[int, ...]


def quantization_of(folder: Path) -> dict[str, Any]:
    """What the `config.json` in a folder says of quantization, under the key that says it.

    Raises:
        IntegrityError: it is quantized by something that zoo does not read.
    """
    path = folder / "config.json"
    config = read_json(path) if path.exists() else {}
    for key in KEYS:
        said = config.get(key)
        if said in (None, {}, False):
            continue
        if not isinstance(said, dict):
            raise IntegrityError(f"{path}: {key} must be a table, not {str(said)[:40]!r}")
        method = said.get("quant_method")
        if method == "fp8" and said.get("weight_block_size"):
            return {"quantization_config": said}
        if method is not None:
            name = PRODUCTS.get(str(method), str(method)[:40])
            raise IntegrityError(
                f"{folder} is quantized by {name}, which zoo does not read", ORIGINAL
            )
        if type(said.get("bits")) is int and type(said.get("group_size")) is int:
            return {"quantization": said}
        raise IntegrityError(f"{path}: {key} says neither a method nor bits and groups", ORIGINAL)
    return {}


def find_packed(
    shapes: Mapping[str, tuple[tuple[int, ...], str]], quantization: Mapping[str, Any], where: Path
) -> dict[str, Packed]:
    """The matrices that are stored in several tensors.

    Args:
        shapes: the shape and the type of every tensor.
        quantization: what `quantization_of` found.
        where: the folder, for messages.

    Raises:
        IntegrityError: parts that do not go together, or of another kind of quantization.
    """
    if foreign := next((name for name in shapes if name.endswith(FOREIGN_PARTS)), None):
        raise IntegrityError(
            f"{where} is quantized in a way that zoo does not read: it has '{foreign[:80]}'",
            ORIGINAL,
        )
    found = {}
    for name, (shape, kind) in shapes.items():
        base = name.removesuffix(".weight")
        if base == name:
            continue
        if kind == "U32":
            found[name] = _mlx(name, shape, shapes, quantization, where)
        elif kind.startswith("F8"):
            found[name] = _fp8(name, shape, kind, shapes, quantization, where)
    return found


def unpack_mlx(words: Any, scales: Any, biases: Any, bits: int) -> Any:
    """A matrix from MLX's packed integers.

    Args:
        words: uint32 of shape (rows, columns * bits / 32).
        scales, biases: float32 of shape (rows, groups).
        bits: of one integer.

    Returns: float32 of shape (rows, columns).
    """
    import numpy as np

    rows, groups = scales.shape
    ones = np.unpackbits(words.view(np.uint8).reshape(rows, -1), axis=1, bitorder="little")
    weights = (1 << np.arange(bits)).astype(np.uint8)
    integers = ones.reshape(rows, groups, -1, bits) @ weights
    return (integers * scales[..., None] + biases[..., None]).reshape(rows, -1).astype(np.float32)


def unpack_fp8(raw: Any, scales: Any, block: tuple[int, ...]) -> Any:
    """A matrix from 8-bit floats and the scales of its blocks.

    Args:
        raw: uint8 of shape (rows, columns), the floats' bits.
        scales: float32 of shape (rows / block[0], columns / block[1]), rounded up.
        block: rows and columns of a block.

    Returns: float32 of shape (rows, columns).
    """
    import numpy as np

    rows, columns = raw.shape
    wide = np.repeat(np.repeat(scales, block[0], 0)[:rows], block[1], 1)[:, :columns]
    return (_e4m3()[raw] * wide).astype(np.float32)


def _e4m3() -> Any:
    """The 256 values of a float with 4 bits of exponent and 3 of mantissa, without infinities."""
    import numpy as np

    bits = np.arange(256)
    exponent, mantissa = bits >> 3 & 15, (bits & 7) / 8.0
    value = np.where(exponent > 0, (1 + mantissa) * 2.0 ** (exponent - 7), mantissa * 2.0**-6)
    value[(bits & 127) == 127] = np.nan
    return np.where(bits & 128, -value, value).astype(np.float32)


def _mlx(
    name: str,
    shape: tuple[int, ...],
    shapes: Mapping[str, tuple[tuple[int, ...], str]],
    quantization: Mapping[str, Any],
    where: Path,
) -> Packed:
    base = name.removesuffix(".weight")
    said = quantization.get("quantization")
    if said is None:
        raise IntegrityError(f"'{name}' in {where} is packed, and its config.json does not say how")
    own = said.get(base)
    said = {**said, **own} if isinstance(own, dict) else said
    bits, group = said.get("bits"), said.get("group_size")
    if said.get("mode", "affine") != "affine":
        raise IntegrityError(f"{where} is quantized by MLX in the mode {said['mode']!r}", ORIGINAL)
    if bits not in MLX_BITS or type(group) is not int or group < 1 or len(shape) != 2:
        raise IntegrityError(f"'{name}' in {where} is packed in an unknown way", ORIGINAL)
    columns = shape[1] * 32 // bits
    parts = (name, f"{base}.scales", f"{base}.biases")
    wanted = (shape[0], columns // group)
    for part in parts[1:]:
        if part not in shapes or shapes[part][0] != wanted:
            raise IntegrityError(f"'{part}' of {where} is missing, or not of the shape {wanted}")
    return Packed((shape[0], columns), parts, bits, (group,))


def _fp8(
    name: str,
    shape: tuple[int, ...],
    kind: str,
    shapes: Mapping[str, tuple[tuple[int, ...], str]],
    quantization: Mapping[str, Any],
    where: Path,
) -> Packed:
    block = quantization.get("quantization_config", {}).get("weight_block_size")
    good = isinstance(block, list) and len(block) == 2
    if kind != "F8_E4M3" or not good or not all(type(s) is int and s > 0 for s in block):
        raise IntegrityError(
            f"'{name}' in {where} is stored as {kind}, and its config.json has no "
            "weight_block_size",
            ORIGINAL,
        )
    scale = f"{name}_scale_inv"
    wanted = tuple(-(-size // side) for size, side in zip(shape, block, strict=False))
    if len(shape) != 2 or scale not in shapes or shapes[scale][0] != wanted:
        raise IntegrityError(f"'{scale}' of {where} is missing, or not of the shape {wanted}")
    return Packed(shape, (name, scale), 0, tuple(block))
