"""Write a language model for the Neural Engine straight from its safetensors, weights streamed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.formats.coreml.compress.encoding import Compression, stored_bits
from zoo.formats.coreml.compress.ledger import Entry, Ledger
from zoo.formats.coreml.convert.streaming import Metadata, save_program, streaming
from zoo.formats.coreml.language.decoder import BLOB_OVERHEAD, require_decoder
from zoo.formats.coreml.language.neural_engine.embeddings import TABLE_FILE, write_table
from zoo.formats.coreml.language.neural_engine.manifest import LayersPackage, Manifest
from zoo.formats.coreml.language.neural_engine.plan import (
    BLOCK,
    Cut,
    beginnings,
    cut_bits,
    cuts,
    half_bits,
    halves,
    head_cuts,
    head_packages,
    packed,
    state_length,
    table_bytes,
    table_scheme,
)
from zoo.formats.coreml.language.neural_engine.program import (
    BEGIN,
    EXTEND,
    PREFILL,
    Changes,
    head_program,
    layers_program,
)
from zoo.formats.coreml.language.spec import DecoderSpec
from zoo.formats.coreml.language.weights import Weights
from zoo.formats.coreml.package.proto import WEIGHT_FILE
from zoo.formats.tensors import Tensors
from zoo.progress import Progress


def write_for_neural_engine(
    spec: DecoderSpec,
    source: Tensors,
    folder: Path,
    *,
    compression: Compression,
    metadata: Metadata,
    progress: Progress,
    adapters: Mapping[str, Changes] | None = None,
) -> Ledger:
    """Write the decoder in `source` as packages and a table of embeddings in `folder`.

    No more than one of its tensors is in memory at a time, beside the adapters.

    Returns: what the weights take.

    Raises:
        IntegrityError: tensors that are not those of the spec, or that float16 cannot hold.
        InputError: half of a layer, or a part of the head, does not fit a package.
    """
    compression.require_known(spec.shapes)
    require_decoder(spec, source)
    adapters = adapters or {}
    length, begins, parts = state_length(spec), beginnings(spec), halves(spec)
    tables = table_bytes(spec, parts)
    sizes = [
        (half_bits(spec, half, compression) // 8) + _added(spec, cuts(spec, half), adapters)
        for half in parts
    ]
    groups = packed([size + tables for size in sizes], [f"the half layer {p}" for p in parts])
    heads = head_cuts(spec)
    head_sizes = [
        cut_bits(spec, cut, compression, "head") // 8 + _added(spec, [cut], adapters)
        for cut in heads
    ]
    head_groups = packed(head_sizes, ["a part of the head"] * len(heads))
    manifest = Manifest(
        length,
        BLOCK,
        TABLE_FILE,
        tuple(
            LayersPackage(f"layers{n}.mlpackage", str(parts[each[0]]), str(parts[each[-1]]))
            for n, each in enumerate(groups, 1)
        ),
        head_packages(head_groups),
        tuple(adapters),
        begins,
    )
    writer = _Writer(spec, source, folder, compression, metadata, progress)
    writer.table()
    functions = {EXTEND: 1, PREFILL: BLOCK, **{f"{BEGIN}{size}": size for size in begins}}
    for package, group in zip(manifest.layers, groups, strict=True):
        part = [parts[number] for number in group]
        writer.package(
            package.package,
            partial(layers_program, spec, part=part, sizes=functions, adapters=adapters),
            sum(sizes[number] for number in group) + table_bytes(spec, part),
        )
    for head, group in zip(manifest.heads, head_groups, strict=True):
        named = {name: heads[n] for name, n in zip(head.outputs, group, strict=True)}
        writer.package(
            head.package,
            partial(head_program, spec, parts=named, adapters=adapters),
            sum(head_sizes[number] for number in group),
        )
    manifest.write(folder)
    return writer.ledger


def _added(spec: DecoderSpec, pieces: list[Cut], adapters: Mapping[str, Changes]) -> int:
    """Bytes that adapters add to some matrices."""
    total = 0
    for cut in pieces:
        (top, bottom), (left, right) = cut.piece.of(spec.shapes[cut.name])
        for changes in adapters.values():
            if change := changes.get(cut.name):
                total += 2 * len(change.down) * (bottom - top + right - left)
    return total


@dataclass
class _Writer:
    """Writes the parts of one build; the ledger is that of all of them."""

    spec: DecoderSpec
    source: Tensors
    folder: Path
    compression: Compression
    metadata: Metadata
    progress: Progress
    ledger: Ledger = field(default_factory=Ledger)

    def table(self) -> None:
        """Write the table of embeddings."""
        name = self.spec.names.embedding
        scheme, shape = table_scheme(self.spec, self.compression), self.spec.shapes[name]
        write_table(self.folder / TABLE_FILE, self.source, name, scheme)
        self.ledger.add(name, Entry(shape, str(scheme), stored_bits(scheme, shape)))

    def package(self, name: str, make: Callable[[Weights], Any], expected: int) -> None:
        """Write a package, which is to have about so many bytes of weights."""
        package = self.folder / name
        with streaming(self.progress) as stream:
            weights = Weights(stream, self.source, self.compression, self.ledger)
            program = make(weights)
            save_program(stream, program, [], package, self.metadata)
        found = (package / WEIGHT_FILE).stat().st_size
        blobs = 8 * sum(len(f.operations) for f in program.functions.values())
        if abs(found - expected) > 0.005 * expected + BLOB_OVERHEAD * blobs:
            raise IntegrityError(
                f"the weights in {package} take {found:,} bytes, and should take {expected:,}"
            )
