"""From a checkpoint to a Core ML language model: what every family of decoders shares.

Without passes, `convert_decoder` writes the package in float16. With passes, it only lays the
checkpoint ready, and `compress_decoder` streams it into the package, compressed on the way: a
model of 7 billion weights is never written in float16 first, neither to memory nor to disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.catalogs.recipe import Build, Recipe
from zoo.formats.adapters import adapter_files, read_adapters
from zoo.formats.checkpoint import copy_text_files, link_or_copy, weight_files
from zoo.formats.coreml.compress.encoding import Compression, Keep
from zoo.formats.coreml.compress.ledger import report
from zoo.formats.coreml.compress.passes import (
    LEDGER_FILE,
    MixedText,
    Passes,
    read_passes,
    target_of,
)
from zoo.formats.coreml.compress.trials import Choice
from zoo.formats.coreml.convert.about import ComputeUnits, about
from zoo.formats.coreml.convert.streaming import Metadata
from zoo.formats.coreml.description import SPEC_FILE
from zoo.formats.coreml.language.decoder import write_decoder
from zoo.formats.coreml.language.neural_engine.write import write_for_neural_engine
from zoo.formats.coreml.language.spec import (
    ADAPTERS,
    PACKAGE,
    DecoderOptions,
    DecoderSpec,
    read_spec,
)
from zoo.formats.options import read_options
from zoo.formats.quantized import quantization_of
from zoo.formats.tensors import Tensors
from zoo.progress import Progress

OWN_FILES = (SPEC_FILE, LEDGER_FILE)
"""What a build writes beside the package, in place of what its source has by these names."""


def convert_decoder(
    recipe: Recipe,
    build: Build,
    spec: DecoderSpec,
    config: Mapping[str, Any],
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    progress: Progress,
) -> Path:
    """Convert a decoder-only language model: the `convert` hook of a family.

    Args:
        recipe: as for the hook.
        build: as for the hook.
        spec: the specification of the decoder. Its `context` is the longest that the model
            supports; the build may ask for less.
        config: the `config.json` to store beside the model, for its tokenizer.
        source: as for the hook.
        adapters: as for the hook.
        workdir: as for the hook.
        progress: as for the hook.

    Raises:
        RecipeError: an option of the build is unknown or invalid.
        IntegrityError: the weights do not match the specification or do not fit float16, or an
            adapter is for another model.
    """
    options = read_options(DecoderOptions, recipe, build)
    spec = replace(spec, context=min(spec.context, options.context))
    described = {**config, **quantization_of(source)}
    (workdir / "config.json").write_text(json.dumps(described, indent=2, sort_keys=True))
    copy_text_files(source, workdir, left_out=("config.json", *OWN_FILES))
    spec.write(workdir)
    if build.optimize:
        read_passes(recipe, build).require_known(spec.shapes)
        read_adapters(adapters, spec.shapes)
        for path in weight_files(source):
            link_or_copy(path, workdir / path.name)
        for name, folder in adapters.items():
            (workdir / ADAPTERS / name).mkdir(parents=True)
            for file in adapter_files(folder):
                link_or_copy(file, workdir / ADAPTERS / name / file.name)
    else:
        _write(recipe, build, spec, source, adapters, workdir, Keep(), progress)
    return workdir


def compress_decoder(
    recipe: Recipe,
    build: Build,
    passes: Passes,
    converted: Path,
    workdir: Path,
    progress: Progress,
) -> Path:
    """The hook `optimize` for what `convert_decoder` laid ready."""
    copy_text_files(converted, workdir, left_out=OWN_FILES)
    spec = read_spec(converted)
    spec.write(workdir)
    laid = (converted / ADAPTERS).glob("*")
    adapters = {folder.name: folder for folder in sorted(laid)}
    choice: Choice | None = None
    if isinstance(passes.mixed, MixedText):
        from zoo.formats.coreml.language.mixed import choose_bits

        passes, choice = choose_bits(recipe, spec, converted, passes.mixed, workdir, progress)
    _write(recipe, build, spec, converted, adapters, workdir, passes, progress, choice)
    return workdir


def _write(
    recipe: Recipe,
    build: Build,
    spec: DecoderSpec,
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    compression: Compression,
    progress: Progress,
    choice: Choice | None = None,
) -> None:
    static = target_of(build) == "neural-engine"
    write = write_for_neural_engine if static else write_decoder
    ledger = write(
        spec,
        Tensors(source),
        workdir if static else workdir / PACKAGE,
        compression=compression,
        metadata=describe(recipe, spec, "cpuAndNeuralEngine" if static else "cpuAndGPU"),
        progress=progress,
        adapters=read_adapters(adapters, spec.shapes),
    )
    if choice is not None:
        ledger.figures, ledger.layers = choice.figures, choice.bits
    ledger.write(workdir)
    report(ledger, progress)


def describe(recipe: Recipe, spec: DecoderSpec, units: ComputeUnits) -> Metadata:
    """What the package says about itself; flexible shapes with a state are for GPU and CPU."""
    details = {"context": spec.context, "sliding_window": spec.window}
    return about(recipe, units=units, details=details)
