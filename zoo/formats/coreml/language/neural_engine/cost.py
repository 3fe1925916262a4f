"""What a language model for the Neural Engine costs: one call of each of its packages."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path

from zoo.formats.coreml.cost import fixed_inputs, package_cost
from zoo.formats.coreml.language.neural_engine.manifest import read_manifest
from zoo.formats.coreml.language.neural_engine.program import EXTEND, MAIN, PREFILL
from zoo.formats.coreml.language.spec import DecoderSpec
from zoo.formats.coreml.memory import package_memory, together
from zoo.formats.coreml.package.reader import Package
from zoo.reports.costs import Cost, Memory, Operation


def static_cost(folder: Path, spec: DecoderSpec, tokens: int) -> Cost:
    """Of the tokens that go through the model at once, whatever their positions.

    Args:
        folder: the build.
        spec: the decoder's.
        tokens: of a text; more than one are read in blocks, of which this is one.
    """
    manifest = read_manifest(folder)
    kind = EXTEND if tokens == 1 else PREFILL
    table = folder / manifest.embeddings
    size = 1 if tokens == 1 else manifest.prefill
    operations = [
        Operation(
            part="embeddings",
            layer="embeddings",
            kind="lookup",
            name=table.name,
            parameters=spec.vocabulary * spec.width,
            weight_bytes=table.stat().st_size,
            activation_bytes=2 * size * spec.width,
            flops=0,
        )
    ]
    calls = [(part.package, kind) for part in manifest.layers]
    calls += [(part.package, MAIN) for part in manifest.heads]
    parts = [Memory(table.stat().st_size, 0, 0)]
    for name, function in calls:
        path = folder / name
        inputs = fixed_inputs(Package(path), function)
        parts.append(package_memory(path, inputs, function))
        operations += package_cost(path, inputs, path.stem, function)
    blocks = ceil(tokens / size)
    case = "1 token" if tokens == 1 else f"a block of {size} tokens, 1 of {blocks} for {tokens:,}"
    memory = replace(together(parts), context=spec.context)
    return Cost(case, tuple(operations), memory=memory)
