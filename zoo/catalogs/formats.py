"""What a format is, as data: sizes, passes, ranks, known before any of its code is needed.

The plugin of a format is heavy: it loads a framework. Its description is a small object in a
module of its own, named by the entry-point group `zoo.format_descriptions`. It is the one module
of a plugin that browsing imports, so it must import nothing but `zoo` and the standard library. A
format without a description is taken for what `Format` says; one whose description cannot be
loaded spoils its own builds only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.discovery import DESCRIPTIONS, provider, providers
from zoo.errors import BrokenPlugin, MissingPlugin, PluginError, UsageError

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe

STORED_BITS = 16
SCALE_BITS = 32
RUNTIME_BYTES = 400_000_000
"""Memory that a runtime takes beside the weights."""


@dataclass(frozen=True)
class Weights:
    """The weights of a source: how many there are, and the bytes that they take as stored."""

    count: int
    bytes: int


class Format:
    """What zoo asks of a format. A plugin subclasses it and overrides what is different.

    Attributes:
        rank: where the format stands on a machine that is not a Mac with Apple silicon; the
            installed format with the lowest rank is the default.
        apple_rank: the same on Apple silicon.
        runs_source: whether a build without passes is the source itself, so that other builds are
            checked against it.
        links_source: whether a conversion keeps the source's weights by links, and takes no room.
        takes_passes: whether a build in it can be optimized.
        writes_adapters: whether `convert` writes the adapters into the build. A format that reads
            them when it runs has one build for any set of adapters.
        reports_cost: whether `zoo cost` chooses this format when none is asked for.
        packages: endings of the files or folders that its `lint` hook reads, such as `.mlpackage`.
        lint_targets: what its `lint` hook can judge a build for; none without such a hook.
        ledger: the JSON file in a build that says how each weight is stored, as
            {bits_per_weight, entries: {weight: {shape, scheme, bits}}, skipped: {weight: reason},
            figures: {name: number}, layers: {weight: bits}}; `None` when builds have none.
        reserved_names: names that an adapter in this format cannot have.
    """

    rank: int = 50
    apple_rank: int = 50
    runs_source: bool = False
    links_source: bool = False
    takes_passes: bool = True
    writes_adapters: bool = True
    reports_cost: bool = False
    packages: tuple[str, ...] = ()
    lint_targets: tuple[str, ...] = ()
    ledger: str | None = None
    reserved_names: tuple[str, ...] = ()

    def serves(self, family: str) -> bool:
        """Whether the format's own `run` may run a family that no entry point pairs with it.

        Where it may, builds in this format can be offered to the family, and the hook decides: it
        returns `None` for a family that it does not know.
        """
        return True

    def running_on(self, device: str) -> AbstractContextManager[None]:
        """A block in which models are loaded onto a device of the caller's choice.

        Raises:
            UsageError: there is no such device here, or the format leaves no choice.
        """
        raise UsageError(
            "only the format torch supports a choice of device",
            "leave device out, or use --format torch",
            in_python='leave device out, or add format="torch"',
        )

    def faults(self, recipe: Recipe, build: Build) -> Iterator[tuple[str, str]]:
        """What is wrong with the passes of a build, found when its recipe is read.

        Yields:
            The key path inside the build, such as `optimize[0].bits`, and what is wrong there.
        """
        yield from ()

    def lint_target(self, recipe: Recipe, build: Build) -> str | None:
        """What a build is linted for before it is published, unless its recipe says.

        Returns: one of `lint_targets`, or `None` where builds are not linted.
        """
        return None

    def lint_rules(self) -> Collection[str]:
        """The ids of the rules of its lint, which a recipe may accept findings of."""
        return ()

    def shares_conversion(self, recipe: Recipe, build: Build) -> bool:
        """Whether `convert` makes the same with passes to follow as without.

        A finished build without passes then serves as the conversion for those with passes.
        """
        return False

    def bits_per_weight(self, build: Build) -> float:
        """Bits of each weight on disk, with scales and tables, from the passes of a build."""
        bits = float(STORED_BITS)
        for step in build.optimize:
            bits = positive(step.options.get("bits")) or bits
            if group := positive(step.options.get("group_size")):
                bits += SCALE_BITS / group
        return bits

    def disk_bytes(self, weights: Weights, build: Build) -> int:
        """Bytes of the finished build."""
        if not build.optimize and build.bits is None:
            return weights.bytes
        bits = build.bits if build.bits is not None else self.bits_per_weight(build)
        return int(weights.count * bits / 8)

    def memory_bytes(self, weights: Weights, build: Build) -> int:
        """Bytes of memory that a loaded build takes, the runtime included."""
        return int(self.disk_bytes(weights, build) * 1.1) + RUNTIME_BYTES


def target_of(recipe: Recipe, build: Build) -> str | None:
    """What a build is linted for: by its recipe, else by its format; `None` for no lint."""
    return build.lint.target or format_of(build.format).lint_target(recipe, build)


_DESCRIBED: dict[str, Format] = {}


def format_of(name: str) -> Format:
    """The description of a format; the plain one where no plugin brings one that can be used."""
    if name not in _DESCRIBED:
        try:
            _DESCRIBED[name] = described(name)
        except PluginError:
            _DESCRIBED[name] = Format()
    return _DESCRIBED[name]


def described(name: str) -> Format:
    """The description that a plugin brings of a format.

    Raises:
        MissingPlugin, PluginConflict: nobody describes it, or several do.
        BrokenPlugin: the description cannot be loaded, or is none.
    """
    origin = provider(DESCRIPTIONS, name)
    found = origin.load()
    if not isinstance(found, Format):
        raise BrokenPlugin(
            f"the description of the format '{name}' by {origin} is {found!r}, "
            "which is not a zoo.formats.Format"
        )
    return found


def require_described(name: str) -> None:
    """Refuse a format of which the description is there and cannot be used.

    Raises:
        PluginConflict, BrokenPlugin: as `described`.
    """
    with suppress(MissingPlugin):
        described(name)


def described_formats() -> tuple[str, ...]:
    """The formats that plugins describe."""
    return tuple(providers(DESCRIPTIONS))


def positive(value: object) -> float:
    """An option as a number above zero, and 0 for whatever else it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 < value < 1e6 else 0.0  # type: ignore[operator,arg-type]
