"""Compress the weights of a saved `.mlpackage`, one at a time.

coremltools loads every weight of a model to compress it, skips the ones that it cannot compress
without telling, and refuses models of several functions. Here the program's protobuf is rewritten:
the constant of a weight becomes one of Core ML's operations `constexpr_*` with the arrays that it
needs, everything else is copied, and functions that share a weight go on sharing it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError
from zoo.formats.coreml.compress.encoding import FULL, Compression, Scheme, encode, parts
from zoo.formats.coreml.compress.ledger import Entry, Ledger
from zoo.formats.coreml.package.proto import (
    IOS18,
    WEIGHTS,
    Origin,
    blob,
    blocks,
    copy_the_rest,
    make_operation,
    replace_operations,
    type_name,
    values_of,
    width,
)
from zoo.formats.coreml.package.reader import Package
from zoo.formats.coreml.package.saving import save_spec
from zoo.formats.coreml.package.weights import Weight, compressed_before, weights_of
from zoo.formats.coreml.package.writer import Blobs
from zoo.progress import Progress

SMALLEST = 2048
"""Weights with fewer entries stay as they are, unless another number is given."""


Values = dict[str, Any]
"""The constants that a weight is stored as: a protobuf `Value` for each argument."""


def compress_package(
    package: Path,
    out: Path,
    compression: Compression,
    *,
    progress: Progress | None = None,
    smallest: int = SMALLEST,
    part: str = "",
) -> Ledger:
    """Write a package with compressed weights.

    Weights are the constants that the layers `conv`, `conv_transpose`, `linear`, `matmul` and, for
    embeddings, `gather` read. They are processed one at a time, in bounded memory.

    Args:
        package: a saved `.mlpackage` for iOS 18 or later.
        out: the `.mlpackage` to write.
        compression: returns how to store a weight, from its role and name.
        progress: receives the bytes processed.
        smallest: weights with fewer elements are not compressed.
        part: prefix of the names of weights, before a slash: the component of a pipeline.

    Returns: how each weight is stored, and which could not be compressed and why.

    Raises:
        RecipeError: the package is for an older system, or a pattern matches no weight.
        IntegrityError: the package is damaged, or a weight does not fit float16.
    """
    opened = Package(package)
    compression.require_known(weight_names(opened, part))
    return _Rewriting(opened, out, compression, progress, smallest, part).run()


def compress_packages(
    packages: Mapping[str, tuple[Path, Path]],
    compression: Compression,
    *,
    progress: Progress | None = None,
    smallest: int = SMALLEST,
) -> Ledger:
    """Write several packages, each as `compress_package` does.

    Args:
        packages: the package to read and the one to make, by the name of the part, such as
            `unet`. A weight's name is then `unet/NAME`.
        compression, progress, smallest: as for `compress_package`.

    Returns: one ledger for all.
    """
    opened = {part: Package(path) for part, (path, _) in packages.items()}
    names = [weight_names(package, part) for part, package in opened.items()]
    compression.require_known(chain.from_iterable(names))
    ledger = Ledger()
    for part, (_, out) in packages.items():
        found = _Rewriting(opened[part], out, compression, progress, smallest, part).run()
        ledger.entries.update(found.entries)
        ledger.skipped.update(found.skipped)
    return ledger


def weight_names(package: Package, part: str = "") -> list[str]:
    """The names of the weights that layers read, as a compression is asked for them."""
    return [_named(part, w) for w in weights_of(package).values() if w.obstacle is None]


class _Rewriting:
    """One package on its way to another."""

    def __init__(
        self,
        package: Package,
        out: Path,
        compression: Compression,
        progress: Progress | None,
        smallest: int,
        part: str,
    ) -> None:
        _require_ios18(package)
        self.package, self.out, self.compression = package, out, compression
        self.progress, self.smallest, self.part = progress, smallest, part
        self.ledger = Ledger()
        self.weights = weights_of(package)
        self.total = sum(_bytes(weight) for weight in self.weights.values())
        self.through = 0
        self.copied: dict[Origin, Any] = {}
        self.compressed: dict[Origin, Values] = {}

    def run(self) -> Ledger:
        model = self.package.model.relative_to(self.package.path.resolve())
        folder = (self.out / model).parent
        copy_the_rest(self.package, self.out, model)
        self.blobs = Blobs(folder / WEIGHTS, folder)
        schemes = {origin: self._scheme(weight) for origin, weight in self.weights.items()}
        for _, block in blocks(self.package):
            for called, (shape, bits) in compressed_before(block).items():
                name = f"{self.part}/{called}" if self.part else called
                self.ledger.entries[name] = Entry(shape, "as it was", bits)
                self.ledger.skipped[name] = "it is compressed already"
            self._block(block, schemes)
        stored = f"{self.ledger.bits_per_weight:.2f} bits per weight"
        self.package.spec.description.metadata.userDefined["zoo.compression"] = stored
        save_spec(self.package.spec, self.out / model)
        return self.ledger

    def _scheme(self, weight: Weight) -> Scheme:
        """How a weight is stored; the ledger records it."""
        name, scheme, reason = _named(self.part, weight), Scheme(), weight.obstacle
        if weight.role is not None:
            scheme = self.compression.scheme(weight.role, name)
            reason = scheme.obstacle(weight.turned)
            if prod(weight.shape) < self.smallest:
                reason = f"it has {prod(weight.shape):,} entries, fewer than {self.smallest:,}"
        wanted = scheme.sparse or scheme.bits != FULL or weight.role is None
        is_vector = sum(length > 1 for length in weight.shape) < 2
        if reason and wanted and not is_vector:
            self.ledger.skipped[name] = reason
        if reason or not wanted:
            scheme = Scheme()
        whole = 8 * _bytes(weight)
        said = weight.type_name.lower() if scheme == Scheme() else str(scheme)
        self.ledger.entries[name] = Entry(weight.shape, said, whole)
        return scheme

    def _block(self, block: Any, schemes: Mapping[Origin, Scheme]) -> None:
        """Rewrite the operations of a block, and of those within it."""
        made: list[Any] = []
        for operation in block.operations:
            for inner in operation.blocks:
                self._block(inner, schemes)
            value = operation.attributes["val"] if operation.type == "const" else None
            origin = blob(value) if value is not None else None
            if origin is not None and schemes.get(origin, Scheme()) != Scheme():
                made += self._restored(operation, self._compressed(origin, schemes[origin]))
                continue
            for each in values_of(operation):
                self._copy(each)
            made.append(operation)
        replace_operations(block, made)

    def _compressed(self, origin: Origin, scheme: Scheme) -> Values:
        """The constants of a weight, written when they are asked for first."""
        if origin not in self.compressed:
            weight = self.weights[origin]
            name = _named(self.part, weight)
            arrays = encode_turned(self._read(weight.value), weight, scheme)
            types = stored_types(weight, scheme)
            self.compressed[origin] = {
                key: self.blobs.add(array, types[key]) for key, array in arrays.items()
            }
            bits = sum(array.size * width(types[key]) for key, array in arrays.items())
            self.ledger.entries[name] = Entry(weight.shape, str(scheme), bits)
            self._tell(weight)
        return self.compressed[origin]

    def _copy(self, value: Any) -> None:
        """Point a value at its copy among the new constants."""
        origin = blob(value)
        if origin is None:
            return
        if origin not in self.copied:
            self.copied[origin] = self.blobs.add(self._read(value), type_name(value))
            if origin in self.weights:
                self._tell(self.weights[origin])
        value.CopyFrom(self.copied[origin])

    def _read(self, value: Any) -> Any:
        """A copy of a constant; the file is let go of, so that its pages take no memory."""
        array = self.package.value(value).copy()
        self.package.release()
        return array

    def _tell(self, weight: Weight) -> None:
        self.through += _bytes(weight)
        if self.progress is not None:
            self.progress.update(self.through, self.total)

    def _restored(self, constant: Any, values: Values) -> Iterator[Any]:
        """The operations that give a weight back, in place of its constant."""
        name, output = constant.outputs[0].name, constant.outputs[0]
        kind = next(kind for key, kind in KINDS.items() if key in values)
        if kind not in TWO_STEPS:
            yield make_operation(kind, name, values, [output])
            return
        mask = next(values[key] for key in ("data_mask", "indices_mask") if key in values)
        nonzero = next(values[key] for key in values if key.endswith("nonzero_data"))
        between = [type(output)(name=f"{name}_{end}") for end in ("mask", "nonzero")]
        between[0].type.CopyFrom(mask.type)
        between[1].type.CopyFrom(nonzero.type)
        between[1].type.tensorType.dataType = output.type.tensorType.dataType
        yield make_operation(kind, f"{name}_sparse", values, between)
        names = {"mask": between[0].name, "nonzero_data": between[1].name}
        yield make_operation("constexpr_sparse_to_dense", name, names, [output])


KINDS = {
    "data_mask": "constexpr_sparse_blockwise_shift_scale",
    "indices_mask": "constexpr_lut_to_sparse",
    "mask": "constexpr_sparse_to_dense",
    "data": "constexpr_blockwise_shift_scale",
    "indices": "constexpr_lut_to_dense",
}
"""The operation that has this argument."""

TWO_STEPS = (KINDS["data_mask"], KINDS["indices_mask"])
"""Operations that give a mask and the values where it is 1, and not yet the weight."""


def encode_turned(array: Any, weight: Weight, scheme: Scheme) -> dict[str, Any]:
    """What `encode` makes of a weight whose output channels may be on another axis.

    Returns: arrays with the axes as the weight has them, floats in the weight's type.
    """
    import numpy as np

    turned = np.moveaxis(array, weight.axes, (0, 1)).astype(np.float32)
    made = encode(np.ascontiguousarray(turned), scheme, weight.name)
    back = {
        key: a if a.ndim == 1 else np.moveaxis(a, (0, 1), weight.axes) for key, a in made.items()
    }
    if scheme.sparse:
        mask, nonzero = (next(key for key in made if key.endswith(end)) for end in MASKED)
        dense = np.zeros(turned.shape, made[nonzero].dtype)
        dense[made[mask].astype(bool)] = made[nonzero]
        dense = np.moveaxis(dense, (0, 1), weight.axes)
        back[nonzero] = dense[back[mask].astype(bool)]
    wide = np.float32 if weight.type_name == "FLOAT32" else np.float16
    return {key: a.astype(wide) if a.dtype.kind == "f" else a for key, a in back.items()}


MASKED = ("mask", "nonzero_data")
"""How the arguments of sparse weights end."""


def stored_types(weight: Weight, scheme: Scheme) -> dict[str, str]:
    """The protobuf's type of each array that a weight is stored as."""
    promised = parts(scheme, weight.turned)
    return {
        key: weight.type_name if array.dtype == "fp16" else array.dtype.upper()
        for key, array in promised.items()
    }


def _named(part: str, weight: Weight) -> str:
    return f"{part}/{weight.name}" if part else weight.name


def _bytes(weight: Weight) -> int:
    return prod(weight.shape) * width(weight.type_name) // 8


def _require_ios18(package: Package) -> None:
    if package.spec.specificationVersion < IOS18:
        raise RecipeError(
            f"{package.path} is for an older system than iOS 18, which compressed weights need",
            hint="convert it with minimum_deployment_target=ct.target.iOS18",
        )
