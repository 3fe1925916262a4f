"""Split a saved `.mlpackage` in two, for phones, which have no room for a large one at once.

The first package computes the inputs of the second. Inputs that are only cast or turned, and
sizes, are computed again instead: they cost nothing, and Core ML plans for sizes that it can follow
through a program. The names of the packages are those of
https://github.com/apple/ml-stable-diffusion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from zoo.errors import StepError
from zoo.formats.coreml.execute.shapes import follow
from zoo.formats.coreml.execute.steps import MOVING
from zoo.formats.coreml.package.proto import (
    WEIGHTS,
    Origin,
    blob,
    chunk_paths,
    copied,
    copy_the_rest,
    is_constant,
    read_names,
    replace_operations,
    shape_of,
    type_name,
    values_of,
)
from zoo.formats.coreml.package.reader import Package, stored_bytes
from zoo.formats.coreml.package.saving import save_spec
from zoo.formats.coreml.package.writer import Blobs

NEAR = 0.1
"""The share of the bytes by which the halves may differ from a half, to have fewer values cross."""

FLOATS = {"FLOAT16", "FLOAT32"}
CHEAP = {*MOVING, "cast"}
"""Operations that are done again rather than that their results cross."""

RANKS = range(1, 6)
"""Of what can be an input of a package."""


def split_package(package: Path) -> tuple[Path, Path]:
    """Split a package into two packages beside it, with about half of the weights each.

    It is cut where the fewest values cross. Weights that both chunks read are in both. Each chunk
    has all functions.

    Returns: the paths of the chunks.

    Raises:
        StepError: the program has states, loops or inputs without bounds, or there is no place to
            cut.
        IntegrityError: the package is damaged.
    """
    opened = Package(package)
    cut = _best_cut(package, _Function(opened, opened.functions[0]))
    lengths: dict[str, Lengths] = {}
    for name in opened.functions:
        crossing = _Function(opened, name).crossing(cut)
        if not lengths.keys() >= set(crossing):
            lengths |= _lengths(opened, name, crossing)
    for second, out in enumerate(chunk_paths(package)):
        _write_half(Package(package), out, cut, bool(second), lengths)
    return chunk_paths(package)


class _Function:
    """One function: what its operations read, and what of it crosses a cut."""

    def __init__(self, package: Package, name: str) -> None:
        self.interface, self.block = package.function(name)
        self.inputs = package.spec.mlProgram.functions[name].inputs
        self.operations = list(self.block.operations)
        if self.interface.state or any(operation.blocks for operation in self.operations):
            raise StepError(f"{package.path} has a state or loops, and so cannot be split")
        self.makers = {
            output.name: number
            for number, operation in enumerate(self.operations)
            for output in operation.outputs
        }
        self.computed = [n for n, each in enumerate(self.operations) if not is_constant(each)]
        last_read = {name: number for number in self.computed for name in self.reads(number)}
        self.spans = [
            (output.name, number, last_read.get(output.name, number))
            for number in self.computed
            for output in self.operations[number].outputs
        ]
        self._roots: dict[str, frozenset[str]] = {}

    def reads(self, number: int) -> list[str]:
        """The names that an operation reads."""
        return read_names(self.operations[number])

    def roots(self, name: str) -> frozenset[str]:
        """What a value is computed again from; itself, if it is not."""
        number = self.makers.get(name)
        if number is None or is_constant(self.operations[number]):
            return frozenset()
        if name not in self._roots:
            self._roots[name] = self._roots_of(name, number)
        return self._roots[name]

    def _roots_of(self, name: str, number: int) -> frozenset[str]:
        operation, reads = self.operations[number], self.reads(number)
        itself = frozenset([name])
        floats = any(type_name(output) in FLOATS for output in operation.outputs)
        if floats and (operation.type not in CHEAP or self.weights(reads)):
            return itself
        below = frozenset[str]().union(*map(self.roots, reads))
        return itself if floats and below else below

    def crossing(self, cut: str) -> list[str]:
        """What is computed up to the result `cut` and needed after it, in order."""
        end = self.makers[cut]
        alive = (name for name, made, last in self.spans if made <= end < last)
        found = frozenset[str]().union(*map(self.roots, alive))
        return sorted(found, key=self.makers.__getitem__)

    def weights(self, names: Iterable[str]) -> dict[Origin, int]:
        """The bytes of each stored constant that these names are made of, if they are constants."""
        found: dict[Origin, int] = {}
        for number in {self.makers[name] for name in names if name in self.makers}:
            if is_constant(operation := self.operations[number]):
                found |= self.weights(self.reads(number))
                for value in values_of(operation):
                    if origin := blob(value):
                        found[origin] = stored_bytes(type_name(value), prod(shape_of(value)))
        return found

    def half(self, cut: str, second: bool) -> tuple[list[str], list[str], list[int]]:
        """The names that a half is given, those that it gives, and the operations that it has."""
        end, crossing = self.makers[cut], self.crossing(cut)
        outputs = [n for n in self.block.outputs if (self.makers.get(n, -1) > end) == second]
        if not second:
            outputs = list(dict.fromkeys([*crossing, *outputs]))
        given, needed = set[str](), set[int]()
        waiting = list(outputs)
        while waiting:
            name = waiting.pop()
            if name not in self.makers or (second and name in crossing):
                given.add(name)
            elif self.makers[name] not in needed:
                needed.add(self.makers[name])
                waiting += self.reads(self.makers[name])
        known = [*(value.name for value in self.inputs), *crossing]
        return [name for name in known if name in given], outputs, sorted(needed)


def _best_cut(path: Path, function: _Function) -> str:
    """The result after which to cut."""
    sizes: dict[Origin, int] = {}
    before: dict[str, int] = {}
    for number in function.computed:
        sizes |= function.weights(function.reads(number))
        before[function.operations[number].outputs[0].name] = sum(sizes.values())
    total = sum(sizes.values())
    found: list[tuple[bool, int, float, str]] = []
    for name, done in before.items():
        apart = abs(done / total - 0.5) if total else 0.5
        if apart > 2 * NEAR:
            continue
        crossing = function.crossing(name)
        outputs = [function.operations[function.makers[n]].outputs for n in crossing]
        ranks = {len(output.type.tensorType.dimensions) for some in outputs for output in some}
        if crossing and ranks <= set(RANKS):
            found.append((apart > NEAR, len(crossing), apart, name))
    if not found:
        raise StepError(
            f"{path} cannot be split: no suitable operation is near the middle of its weights"
        )
    return min(found)[-1]


@dataclass(frozen=True)
class Lengths:
    """Of each axis of a value: as it is by default, at least and at most."""

    usual: tuple[int, ...]
    least: tuple[int, ...]
    most: tuple[int, ...]


def _lengths(package: Package, name: str, wanted: list[str]) -> dict[str, Lengths]:
    """Of the values that cross, by running the program on shapes: the usual, least and largest.

    An axis of a value is the longer, the longer those of the inputs are.
    """
    function = _Function(package, name)
    cases: list[dict[str, tuple[int, ...]]] = [{}, {}, {}]
    for feature in function.interface.input:
        array = feature.type.multiArrayType
        usual = tuple(int(size) for size in array.shape)
        ranges = [(int(r.lowerBound), int(r.upperBound)) for r in array.shapeRange.sizeRanges]
        ranges = ranges or [(size, size) for size in usual]
        if any(most < least for least, most in ranges):
            raise StepError(
                f"the input '{feature.name}' of {package.path} has no upper bound on its shape"
            )
        shapes = (usual, *zip(*ranges, strict=True))
        for case, shape in zip(cases, shapes, strict=True):
            case[feature.name] = tuple(shape)
    found: list[dict[str, tuple[int, ...]]] = []
    for case in cases:
        steps = zip(function.computed, follow(package, case, name), strict=True)
        found.append(
            {
                output.name: shape
                for number, step in steps
                for output, shape in zip(
                    function.operations[number].outputs, step.results, strict=True
                )
            }
        )
    return {value: Lengths(*(shapes[value] for shapes in found)) for value in wanted}


def _write_half(
    package: Package, out: Path, cut: str, second: bool, lengths: Mapping[str, Lengths]
) -> None:
    """Write one half of a package, which is changed for it, to `out`."""
    model = package.model.relative_to(package.path.resolve())
    copy_the_rest(package, out, model)
    copies = _Copies(package, (out / model).parent)
    for name in package.functions:
        function = _Function(package, name)
        given, outputs, numbers = function.half(cut, second)
        crossing = function.crossing(cut)
        values = {
            output.name: output
            for operation in function.operations
            for output in operation.outputs
            if output.name in crossing
        }
        interface = function.interface
        _keep(interface.input, [_feature(values[n], lengths[n]) for n in crossing], given)
        _keep(interface.output, [_feature(values[n], lengths[n], True) for n in crossing], outputs)
        _keep(function.inputs, list(values.values()), given)
        kept = [copies.of(function.operations[number]) for number in numbers]
        replace_operations(function.block, kept)
        del function.block.outputs[:]
        function.block.outputs.extend(outputs)
    save_spec(package.spec, out / model)


class _Copies:
    """Operations as they are in another package, which has the constants that they read."""

    def __init__(self, package: Package, folder: Path) -> None:
        self.package, self.blobs = package, Blobs(folder / WEIGHTS, folder)
        self._written: dict[Origin, Any] = {}

    def of(self, operation: Any) -> Any:
        """A copy of an operation; its constants are written when they are met first."""
        made = copied(operation)
        for value in values_of(made):
            if origin := blob(value):
                if origin not in self._written:
                    array = self.package.value(value).copy()
                    self.package.release()
                    self._written[origin] = self.blobs.add(array, type_name(value))
                value.CopyFrom(self._written[origin])
        return made


def _keep(entries: Any, more: list[Any], names: list[str]) -> None:
    """Leave of the entries, and of some more, those of these names, in their order."""
    by_name = {entry.name: copied(entry) for entry in (*more, *entries)}
    del entries[:]
    entries.extend(by_name[name] for name in names)


def _feature(value: Any, lengths: Lengths, output: bool = False) -> Any:
    """The description of a value of the program as an input or an output of the package.

    An output whose shape is not always the same is described without one, as coremltools does.
    """
    from coremltools.proto import FeatureTypes_pb2, Model_pb2

    made = Model_pb2.FeatureDescription(name=value.name)
    array = made.type.multiArrayType
    array.dataType = FeatureTypes_pb2.ArrayFeatureType.ArrayDataType.Value(type_name(value))
    flexible = lengths.least != lengths.most
    if not (flexible and output):
        array.shape.extend(lengths.usual)
    if flexible and not output:
        for least, most in zip(lengths.least, lengths.most, strict=True):
            array.shapeRange.sizeRanges.add(lowerBound=least, upperBound=most)
    return made
