"""How many bytes a build takes, on disk and in memory, estimated before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.catalogs.recipe import Build, Recipe

STORED_BITS = 16
SCALE_BITS = 32
MIX_BITS = 0.5  # about what the better layers of a mix such as mixed_4_6 add on average
LINKING = ("torch", "mlx")
"""Formats whose conversion keeps the weights of the Hub's cache, by links."""

COREML_BLOCK, COREML_SCALE_BITS = 32, 16
"""What Core ML's 4-bit integers share a scale by, unless it is said, and bits of the scale."""

RUNTIME_BYTES = 400_000_000


def bits_per_weight(build: Build) -> float:
    """Bits for each weight: what the recipe says, else an estimate from the passes.

    A group of quantized weights also stores its scale and offset.
    """
    if build.bits is not None:
        return build.bits
    if build.format == "coreml":
        return _coreml_bits(build)
    bits = float(STORED_BITS)
    for step in build.optimize:
        if "bits" in step.options:
            bits = float(step.options["bits"])
        elif "mix" in step.options:
            bits = float(str(step.options["mix"]).split("_")[1]) + MIX_BITS
        if "group_size" in step.options:
            bits += SCALE_BITS / float(step.options["group_size"])
    return bits


def _coreml_bits(build: Build) -> float:
    """Of large matrices: bits of their own for some weights are not counted, nor are tables.

    The options have not been checked yet: what is no number counts as not given.
    """
    bits, scales, kept, mask = float(STORED_BITS), 0.0, 1.0, 0
    for step in build.optimize:
        options = {k: v for k, v in step.options.items() if isinstance(v, int | float)}
        match step.kind:
            case "mixed":
                return float(options.get("bits_per_weight", bits))
            case "prune":
                kept, mask = 1 - _zeros(step.options.get("n_of_m"), options), 1
            case "palettize":
                bits = float(options.get("bits", 4))
            case "quantize":
                bits = float(options.get("bits", 4))
                per_block = bits == 4 and step.options.get("target", "gpu") == "gpu"
                block = options.get("block_size", COREML_BLOCK if per_block else 0)
                scales = COREML_SCALE_BITS / block if block else 0.0
    return bits * kept + scales + mask


def _zeros(n_of_m: Any, options: Mapping[str, float]) -> float:
    match n_of_m:
        case [int(zeros), int(of)] if of:
            return zeros / of
    return options.get("sparsity", 0.0)


def download_bytes(recipe: Recipe) -> int:
    """Bytes to fetch: the files' own when all are known, else from the number of weights."""
    return recipe.source.size or recipe.parameters * STORED_BITS // 8


def build_bytes(recipe: Recipe, build: Build) -> int:
    """Bytes of the finished build; a build without passes keeps the source's files."""
    if not build.optimize:
        return download_bytes(recipe)
    return int(recipe.parameters * bits_per_weight(build) / 8)


def converted_bytes(recipe: Recipe, build: Build) -> int:
    """Bytes that a conversion leaves for the passes to read, until they are pruned."""
    linked = build.format in LINKING and recipe.source.folder is None
    return 0 if linked or not build.optimize else download_bytes(recipe)


def memory_bytes(recipe: Recipe, build: Build) -> int:
    """Bytes of memory to run the build: its weights, as wide as they are computed, and a runtime.

    PyTorch on a CPU computes in float32, twice the width of what is stored.
    """
    widening = 2 if build.format == "torch" else 1
    return int(build_bytes(recipe, build) * widening * 1.1) + RUNTIME_BYTES
