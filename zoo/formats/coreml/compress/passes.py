"""The passes of Core ML builds: their options, read strictly from a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo import schema
from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import RecipeError
from zoo.files.trust import confined
from zoo.words import suggest

if TYPE_CHECKING:
    from zoo.formats.coreml.compress.encoding import Scheme
    from zoo.formats.coreml.package.weights import Role

LEDGER_FILE = "compression.json"
"""What each weight of a build takes: a `Ledger`."""

FULL = 16
"""Bits of a weight that stays as it is, in float16."""

LINEAR_BITS = (4, 8)
PALETTE_BITS = (1, 2, 3, 4, 6, 8)
"""Bits that an index into a lookup table can have in Core ML."""

BLOCK_SIZES = (0, 16, 32, 64, 128, 256)
PER_BLOCK, PALETTE_GROUP = 32, 16
"""What shares a scale on a Mac's GPU, and a table on the Neural Engine, unless it is said."""

Target = Literal["gpu", "neural-engine"]
TARGETS: tuple[Target, ...] = ("gpu", "neural-engine")


def _scheme(*arguments: Any) -> Scheme:
    """A scheme; this module is read with every recipe, so it brings no code that stores weights."""
    from zoo.formats.coreml.compress.encoding import Scheme

    return Scheme(*arguments)


@dataclass(frozen=True)
class Stored(ABC):
    """What the passes that store weights have in common."""

    bits: int = field(default=4, metadata={"doc": "of each weight"})
    embeddings: int | None = field(
        default=None, metadata={"doc": "bits of embeddings, or 16 to keep them"}
    )
    head: int | None = field(default=None, metadata={"doc": "bits of the head, or 16 to keep it"})
    conv: int | None = field(
        default=None, metadata={"doc": "bits of convolutions, or 16 to keep them"}
    )
    layers: dict[str, int] = field(
        default_factory=dict,
        metadata={
            "doc": "bits of weights whose name a pattern matches; the last that does decides"
        },
    )
    target: Target = field(default="gpu", metadata={"doc": "decides what is not said"})

    def scheme(self, role: Role, name: str) -> Scheme:
        """How a weight is stored."""
        own = {"embeddings": self.embeddings, "head": self.head, "conv": self.conv}.get(role)
        bits = of_pattern(self.layers, name, self.bits if own is None else own)
        return _scheme() if bits == FULL else self.stored(bits)

    @abstractmethod
    def stored(self, bits: int) -> Scheme:
        """How a weight of so many bits is stored."""

    def wrong_bits(self, known: tuple[int, ...]) -> Iterator[tuple[str, str]]:
        """The faults among the numbers of bits."""
        if self.bits not in known:
            yield "bits", f"must be one of {known}, not {self.bits}"
        said = {"embeddings": self.embeddings, "head": self.head, "conv": self.conv}
        said |= {f"layers.{pattern}": bits for pattern, bits in self.layers.items()}
        for key, bits in said.items():
            if bits not in (None, FULL, *known):
                yield key, f"must be one of {(*known, FULL)}, not {bits}"


@dataclass(frozen=True)
class Quantize(Stored):
    """Linear quantization, symmetric: integers with a float16 scale.

    On a Mac's GPU, 4 bits have a scale for each block of 32 weights. The Neural Engine does not
    support blocks.
    """

    block_size: int | None = field(
        default=None,
        metadata={"doc": "weights that share a scale; 0: all of a row. 32 for 4 bits, 0 for 8"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        """Yield the options that are invalid, and what is wrong."""
        if self.block_size is not None and self.block_size not in BLOCK_SIZES:
            yield "block_size", f"must be one of {BLOCK_SIZES}, not {self.block_size}"
        if self.target == "neural-engine" and self.block_size:
            yield "block_size", "is not for the Neural Engine, which has one scale for a row"
        yield from self.wrong_bits(LINEAR_BITS)

    def stored(self, bits: int) -> Scheme:
        """Return the scheme for a number of bits."""
        per_block = bits == 4 and self.target == "gpu"
        block = self.block_size if bits == self.bits else None
        return _scheme("linear", bits, PER_BLOCK * per_block if block is None else block)


@dataclass(frozen=True)
class Palettize(Stored):
    """Palettization: each weight is an index into a lookup table of values (k-means)."""

    group_size: int | None = field(
        default=None,
        metadata={"doc": "rows that share a table; 0: all. 16 for the Neural Engine, else 0"},
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        """Yield the options that are invalid, and what is wrong."""
        if self.group_size is not None and self.group_size < 0:
            yield "group_size", f"must be 0 or more, not {self.group_size}"
        yield from self.wrong_bits(PALETTE_BITS)

    def stored(self, bits: int) -> Scheme:
        """Return the scheme for a number of bits."""
        default = PALETTE_GROUP if self.target == "neural-engine" else 0
        return _scheme("palette", bits, default if self.group_size is None else self.group_size)


@dataclass(frozen=True)
class Prune:
    """Magnitude pruning: the weights nearest zero become zero and are not stored."""

    sparsity: float = field(default=0.0, metadata={"doc": "the share of zeros, below 1"})
    n_of_m: tuple[int, ...] = field(
        default=(), metadata={"doc": "instead: [n, m] for n zeros in every m weights"}
    )
    embeddings: bool = field(default=False, metadata={"doc": "whether embeddings are pruned too"})
    head: bool = field(default=False, metadata={"doc": "whether the head is pruned too"})
    layers: dict[str, float] = field(
        default_factory=dict, metadata={"doc": "the share for weights whose name a pattern matches"}
    )

    def validate(self) -> Iterator[tuple[str, str]]:
        """Yield the options that are invalid, and what is wrong."""
        shares = {"sparsity": self.sparsity} | {f"layers.{k}": v for k, v in self.layers.items()}
        for key, share in shares.items():
            if not 0 <= share < 1:
                yield key, f"must be at least 0 and below 1, not {share}"
        if self.n_of_m and not (len(self.n_of_m) == 2 and 0 < self.n_of_m[0] < self.n_of_m[1]):
            yield "n_of_m", f"must be two numbers, the first below the second; not {self.n_of_m}"
        if bool(self.n_of_m) == bool(self.sparsity or self.layers):
            yield "sparsity", "give either a share of zeros or n_of_m"

    def pruned(self, scheme: Scheme, role: Role, name: str) -> Scheme:
        """Return the scheme of a weight with the sparsity of this pass."""
        chosen = {"embeddings": self.embeddings, "head": self.head}.get(role, True)
        share = of_pattern(self.layers, name, self.sparsity if chosen else 0.0)
        zeros = self.n_of_m if chosen else ()
        return replace(scheme, sparsity=share, zeros_of=(zeros[0], zeros[1]) if zeros else None)


@dataclass(frozen=True)
class Mixed:
    """Palettization with the bits of each weight chosen by measured loss, within a budget."""

    bits_per_weight: float = field(metadata={"doc": "most bits of each weight, on average"})
    calibration: str = field(
        metadata={"doc": "a file beside the recipe to measure on, other than the check's"}
    )
    choices: tuple[int, ...] = field(
        default=(2, 3, 4, 6, 8), metadata={"doc": "the numbers of bits to choose from"}
    )
    group_size: int | None = field(default=None, metadata={"doc": "as for palettize"})
    target: Target = field(default="gpu", metadata={"doc": "as for palettize"})

    def validate(self) -> Iterator[tuple[str, str]]:
        """Yield the options that are invalid, and what is wrong."""
        if not self.choices or any(bits not in PALETTE_BITS for bits in self.choices):
            yield "choices", f"must be among {PALETTE_BITS}, not {self.choices}"
        if not 0 < self.bits_per_weight <= FULL:
            yield "bits_per_weight", f"must be above 0 and at most 16, not {self.bits_per_weight}"
        if not confined(self.calibration):
            yield "calibration", f"must stay beside the recipe, not '{self.calibration}'"


@dataclass(frozen=True)
class MixedText(Mixed):
    """As language models measure it: on a text."""

    tokens: int = field(default=512, metadata={"doc": "tokens of the text to read", "minimum": 16})


class Passes:
    """The passes of a build, as rules for storing each weight.

    Attributes:
        store: how weights are stored; `None` for float16.
        prune: which weights are pruned; `None` for none.
        mixed: a pass that still has to choose the bits of each weight.
    """

    def __init__(
        self, store: Stored | None, prune: Prune | None = None, mixed: Mixed | None = None
    ) -> None:
        self.store, self.prune, self.mixed = store, prune, mixed

    def scheme(self, role: Role, name: str) -> Scheme:
        """Return how to store a weight.

        Args:
            role: the role of the weight, such as `linear`.
            name: the name of the weight in the program.
        """
        scheme = _scheme() if self.store is None else self.store.scheme(role, name)
        return scheme if self.prune is None else self.prune.pruned(scheme, role, name)

    def require_known(self, names: Iterable[str]) -> None:
        """Raise an error if a pattern in `layers` matches none of the weights.

        Raises:
            RecipeError: with the closest name.
        """
        known = list(names)
        patterns = [*(self.store.layers if self.store else ())]
        patterns += [*(self.prune.layers if self.prune else ())]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in known):
                close = suggest(pattern, known)
                raise RecipeError(f"'{pattern}' in layers matches no weight{close}")


KINDS: dict[str, type[Any]] = {
    "prune": Prune,
    "quantize": Quantize,
    "palettize": Palettize,
    "mixed": MixedText,
}
ORDER = "it can prune, then quantize or palettize, or choose mixed bits"
ORDERS = [*([kind] for kind in KINDS), ["prune", "quantize"], ["prune", "palettize"]]


def target_of(build: Build) -> Target:
    """What a build is for: what its option `target` says, or else one of its passes, or a GPU."""
    said = [build.options.get("target"), *(step.options.get("target") for step in build.optimize)]
    for target in TARGETS:
        if next((each for each in said if each is not None), None) == target:
            return target
    return "gpu"


def read_passes(recipe: Recipe, build: Build, mixed: type[Mixed] = MixedText) -> Passes:
    """Read the passes of a build: at most one that prunes, then one that stores.

    Args:
        recipe: the recipe, for messages.
        build: the build.
        mixed: the options of the pass `mixed` in this family.

    Raises:
        RecipeError: a pass does not exist, its options are invalid, or the order is not supported.
    """
    found, faults = _read_all(build, {**KINDS, "mixed": mixed})
    if faults:
        listed = tuple(f"{path}: {what}" for path, what in faults)
        raise RecipeError(f"'{recipe.ref}' has a build that coreml cannot make:", listed)
    by_kind = {step.kind: options for step, options in zip(build.optimize, found, strict=True)}
    store = by_kind.get("quantize") or by_kind.get("palettize")
    return Passes(store, by_kind.get("prune"), by_kind.get("mixed"))


def pass_faults(recipe: Recipe, build: Build) -> list[tuple[str, str]]:
    """What is wrong with the passes of a build, as far as it holds for every family.

    Returns: the key path inside the build, and what is wrong. The pass `mixed` has options of the
    family's own besides; those are the family's to check.
    """
    if not build.optimize:
        return []
    own = {f.name for f in fields(Mixed)}
    known = replace(
        build,
        optimize=tuple(
            replace(step, options={k: v for k, v in step.options.items() if k in own})
            if step.kind == "mixed"
            else step
            for step in build.optimize
        ),
    )
    found, faults = _read_all(known, {**KINDS, "mixed": Mixed})
    for number, options in enumerate(found):
        if isinstance(options, Mixed) and not _has_text(recipe.home / options.calibration):
            faults.append((f"optimize[{number}].calibration", _NO_TEXT.format(options.calibration)))
    return faults


_NO_TEXT = "there is no file '{}' beside the recipe, or it is empty"


def _has_text(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _read_all(
    build: Build, known: Mapping[str, type[Any]]
) -> tuple[list[Any], list[tuple[str, str]]]:
    """The options of each pass, and the faults by their key paths inside the build."""
    problems, found = schema.Problems(), []
    target = build.options.get("target")
    for number, step in enumerate(build.optimize):
        where = f"optimize[{number}]"
        if step.kind not in known:
            close = suggest(step.kind, known) or f"; it has {', '.join(known)}"
            problems.add(f"{where}.kind", f"coreml has no pass '{step.kind}'{close}")
            continue
        options = dict(step.options)
        takes = any(f.name == "target" for f in fields(known[step.kind]))
        if target in TARGETS and takes and options.setdefault("target", target) != target:
            said = options["target"]
            problems.add(f"{where}.target", f"is '{said}', and the build is for '{target}'")
        found.append(schema.read(known[step.kind], options, problems, where))
    kinds = [step.kind for step in build.optimize]
    if kinds not in ORDERS and not problems.found:
        problems.add("optimize", f"coreml cannot do {', '.join(kinds) or 'no pass'}: {ORDER}")
    return found, problems.pairs()


def of_pattern(patterns: Mapping[str, Any], name: str, default: Any) -> Any:
    """What the last pattern that matches the name says."""
    found = [value for pattern, value in patterns.items() if fnmatchcase(name, pattern)]
    return found[-1] if found else default
