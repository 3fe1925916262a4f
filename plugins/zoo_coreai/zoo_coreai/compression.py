"""The passes `quantize` and `palettize`, over the programs of a build, by Apple's coreai-opt.

Apple's functions compress every weight of a program alike. To give embeddings other bits, each of
them is asked to walk over some of the weights only.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import link_or_copy

from zoo_coreai.options import KEPT, Palettize, Quantize
from zoo_coreai.quiet import quiet_tools
from zoo_coreai.running import SUFFIX

LEAST = 1024
"""Weights that a pass compresses have more elements; those below are norms and biases."""

LOOKUP = "coreai.gather_nd"
"""The operation that takes rows out of an embedding."""


def compress_folder(
    step: Quantize | Palettize, converted: Path, workdir: Path, progress: zoo.Progress
) -> None:
    """Compress each program in a folder, and have everything else in the other as it is.

    Args:
        step: the pass.
        converted: the build without passes.
        workdir: where to.
        progress: counts programs.
    """
    programs = sorted(converted.glob(f"*{SUFFIX}"))
    for done, program in enumerate(programs):
        progress.update(done, len(programs), "programs")
        if any(fnmatchcase(program.stem, pattern) for pattern in step.keep):
            _copy(program, workdir / program.name)
        else:
            compress(step, program, workdir / program.name)
    progress.update(len(programs), len(programs), "programs")
    for path in sorted(converted.rglob("*")):
        inside = path.relative_to(converted)
        if path.is_file() and not inside.parts[0].endswith(SUFFIX):
            (workdir / inside).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(path, workdir / inside)


def compress(step: Quantize | Palettize, source: Path, target: Path) -> None:
    """Compress one program.

    Weights whose rows do not divide into the blocks or groups asked for get 8 bits and a scale
    for each row.
    """
    with quiet_tools():
        from coreai.authoring import AIModelAsset
        from coreai_opt.coreai_utils import (
            CompressionGranularity,
            DType,
            palettize_weights,
            quantize_weights,
        )

        asset = AIModelAsset.load(source)
        program = asset.program
        roles = _Roles(program)

        def by_rows(wanted: Callable[[Any], bool]) -> None:
            quantize_weights(
                _Some(program, wanted),
                DType.INT8,
                granularity=CompressionGranularity.PER_CHANNEL,
                weight_num_threshold=LEAST,
                in_place=True,
            )

        own = {roles.is_embedding: step.embeddings, roles.is_head: step.head}
        if isinstance(step, Quantize) and step.convolutions:
            own[roles.is_convolution] = step.convolutions
        for role, bits in own.items():
            if bits != KEPT:
                by_rows(role)

        def plain(weight: Any) -> bool:
            return not any(role(weight) for role in own)

        if isinstance(step, Quantize):
            quantize_weights(
                _Some(program, plain),
                DType.INT4 if step.bits == 4 else DType.INT8,
                granularity=CompressionGranularity.PER_BLOCK
                if step.block_size
                else CompressionGranularity.PER_CHANNEL,
                block_size=step.block_size or 1,
                weight_num_threshold=LEAST,
                in_place=True,
            )
        else:
            palettize_weights(
                _Some(program, plain),
                lut_dtype=None,
                n_bits=step.bits,
                granularity=CompressionGranularity.PER_GROUPED_CHANNEL
                if step.group_size
                else CompressionGranularity.PER_TENSOR,
                group_size=step.group_size or 1,
                weight_num_threshold=LEAST,
                num_kmeans_workers=1,
                enable_fast_kmeans_mode=False,
                in_place=True,
            )
        by_rows(plain)
        program.save_asset(target, asset.metadata)


class _Roles:
    """What the weights of a program are for, by the operations that use them."""

    def __init__(self, program: Any) -> None:
        from coreai_opt.coreai_utils._coreai_imports import WalkResult

        self._rows: set[int] = set()

        def note(operation: Any) -> Any:
            if operation.name == "coreai.constant" and self._is_looked_up(operation):
                self._rows.add(operation.result.type.shape[0])
            return WalkResult.ADVANCE

        program._module._mlir_module.operation.walk(note)

    def is_embedding(self, weight: Any) -> bool:
        return self._is_looked_up(weight)

    def is_head(self, weight: Any) -> bool:
        return not self._is_looked_up(weight) and bool(set(weight.result.type.shape) & self._rows)

    def is_convolution(self, weight: Any) -> bool:
        """Whether it is of a convolution over more than single points."""
        shape = weight.result.type.shape
        return len(shape) == 4 and shape[2] * shape[3] > 1 and not self.is_head(weight)

    def _is_looked_up(self, weight: Any) -> bool:
        kind = weight.result.type
        return getattr(kind, "rank", 0) == 2 and any(
            use.owner.name == LOOKUP for use in weight.result.uses
        )


class _Some:
    """A program of which a pass sees some of the weights, those still in use."""

    def __init__(self, program: Any, wanted: Callable[[Any], bool]) -> None:
        self._program, self._wanted = program, wanted
        self._module = self._mlir_module = self.operation = self

    def walk(self, change: Callable[[Any], Any]) -> None:
        from coreai_opt.coreai_utils._coreai_imports import WalkResult

        def changed(operation: Any) -> Any:
            if operation.name != "coreai.constant" or not list(operation.result.uses):
                return WalkResult.ADVANCE
            return change(operation) if self._wanted(operation) else WalkResult.ADVANCE

        self._program._module._mlir_module.operation.walk(changed)


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for path in sorted(source.iterdir()):
        link_or_copy(path, target / path.name)
