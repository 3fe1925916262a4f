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

from zoo.errors import BrokenPlugin, MissingPlugin, PluginError, UsageError
from zoo.registry.discovery import DESCRIPTIONS, provider, providers

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Build, Recipe

STORED_BITS = 16
SCALE_BITS = 32
RUNTIME_BYTES = 400_000_000
"""Memory that a runtime takes beside the weights."""


@dataclass(frozen=True)
class Weights:
    """The size of a source model.

    Attributes:
        count: number of weights.
        bytes: size of the weights as stored, in bytes.
    """

    count: int
    bytes: int


class Format:
    """The base class of format descriptions. A plugin subclasses it and overrides what differs.

    A description is data that browsing needs: it imports no framework.

    Attributes:
        rank: preference on a machine that is not a Mac with Apple silicon; the installed format
            with the lowest rank is the default.
        apple_rank: preference on a Mac with Apple silicon.
        runs_source: whether a build without passes is the source model itself, which other builds
            are checked against.
        links_source: whether conversion links the weights of the source and needs no disk space.
        takes_passes: whether builds can be optimized.
        writes_adapters: whether `convert` stores adapters in the build. Other formats read adapters
            at run time, so one build serves any set of adapters.
        reports_cost: whether `zoo cost` can choose this format by default.
        packages: file endings of the packages that the `lint` hook reads, such as `.mlpackage`.
        lint_targets: targets that the `lint` hook supports; empty without such a hook.
        ledger: name of the JSON file in a build that lists how each weight is stored, as
            {bits_per_weight, entries: {weight: {shape, scheme, bits}}, skipped: {weight: reason},
            figures: {name: number}, layers: {weight: bits}}; `None` without one.
        reserved_names: names that adapters cannot have in this format.
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
        """Return whether the format's own `run` hook may run a family without an entry point.

        If so, builds in this format can be offered for the family. The hook returns `None` for
        families that it does not support.
        """
        return True

    def running_on(self, device: str) -> AbstractContextManager[None]:
        """Return a context in which models are loaded onto a device.

        Args:
            device: the device, such as `cuda:1`.

        Raises:
            UsageError: this machine has no such device, or the format does not support a choice.
        """
        raise UsageError(
            "only the format torch supports a choice of device",
            "leave device out, or use --format torch",
            in_python='leave device out, or add format="torch"',
        )

    def faults(self, recipe: Recipe, build: Build) -> Iterator[tuple[str, str]]:
        """Validate the passes of a build when its recipe is read.

        Yields:
            The key path in the build, such as `optimize[0].bits`, and what is wrong.
        """
        yield from ()

    def lint_target(self, recipe: Recipe, build: Build) -> str | None:
        """Return the default target that builds are linted for before they are published.

        Returns: one of `lint_targets`, or `None` if builds are not linted.
        """
        return None

    def lint_rules(self) -> Collection[str]:
        """Return the ids of the lint rules, which a recipe can accept."""
        return ()

    def shares_conversion(self, recipe: Recipe, build: Build) -> bool:
        """Return whether `convert` makes the same result with and without passes.

        If so, a finished build without passes is reused as the conversion of builds with passes.
        """
        return False

    def app_files(self, recipe: Recipe, paths: Collection[str]) -> dict[str, str]:
        """Choose the files of a build that an app ships, for `zoo app`.

        Args:
            recipe: the recipe of the build.
            paths: the files of the build.

        Returns: path in the build to path among the resources of the app. By default all files,
            under their own paths.
        """
        return {path: path for path in paths}

    def app_notes(self, recipe: Recipe) -> str:
        """Return how an app loads the files that `app_files` chose, in Markdown.

        Returns: empty where builds are not for apps, which `zoo app` refuses.
        """
        return ""

    def bits_per_weight(self, build: Build) -> float:
        """Estimate the bits per weight on disk, with scales and tables.

        Args:
            build: the build, whose passes decide.
        """
        bits = float(STORED_BITS)
        for step in build.optimize:
            bits = positive(step.options.get("bits")) or bits
            if group := positive(step.options.get("group_size")):
                bits += SCALE_BITS / group
        return bits

    def disk_bytes(self, weights: Weights, build: Build) -> int:
        """Estimate the size of a finished build, in bytes.

        Args:
            weights: the size of the source.
            build: the build.
        """
        if not build.optimize and build.bits is None:
            return weights.bytes
        bits = build.bits if build.bits is not None else self.bits_per_weight(build)
        return int(weights.count * bits / 8)

    def memory_bytes(self, weights: Weights, build: Build) -> int:
        """Estimate the memory that a loaded build needs, in bytes, runtime included.

        Args:
            weights: the size of the source.
            build: the build.
        """
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
