"""Whether a build fits a device: what it takes, held against what an app may have there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.catalogs import estimates
from zoo.catalogs.formats import RUNTIME_BYTES, format_of, target_of
from zoo.catalogs.recipe import Build, Recipe
from zoo.errors import UsageError
from zoo.reports.costs import Memory
from zoo.reports.devices import Device
from zoo.words import human

ENGINE_PACKAGE, PHONE_PACKAGE = 1 << 30, 2 << 30
"""Most weights in one package for the Neural Engine of a phone, and for a phone at all; by the
rules A13 and L16 of docs/lint.md."""


USUAL_CONTEXT = 2048
"""Tokens that caches are estimated for where nobody says a number: what a Core ML build holds."""

MARGIN = 1.2
"""Of what a build takes by its shapes: operations need room of their own (benchmarks/memory.py)."""


@dataclass(frozen=True)
class Fitting:
    """What a build takes, and whether a device has it.

    Attributes:
        ref, build: the model and its build.
        device: what it is to fit.
        memory: what the build takes beside the runtime.
        exact: whether that was read from the finished build; else it is estimated.
        reasons: why it does not fit; empty if it does.
        instead: a build of the same model that does, by estimate.
    """

    ref: str
    build: str
    device: Device
    memory: Memory
    exact: bool
    reasons: tuple[str, ...] = ()
    instead: str | None = None

    @property
    def runtime(self) -> int:
        """Bytes of the app and the runtime."""
        return RUNTIME_BYTES

    @property
    def needed(self) -> int:
        """All bytes together; what was counted exactly has a fifth more, for what it leaves out."""
        taken = self.memory.weights + self.memory.caches + self.memory.activations
        return int(taken * (MARGIN if self.exact else 1)) + self.runtime

    @property
    def fits(self) -> bool:
        return not self.reasons

    @property
    def entitlement(self) -> bool:
        """Whether it fits with the entitlement for more memory alone."""
        return self.fits and self.needed > self.device.app


def require_context(recipe: Recipe, context: int | None) -> None:
    """Refuse a context length of a model that has none, or that is longer than it supports."""
    if context is None:
        return
    if recipe.task != "text-generation":
        raise UsageError(f"a context length is for language models, and '{recipe.ref}' is not one")
    if recipe.context is not None and context > recipe.context:
        raise UsageError(f"'{recipe.ref}' can hold {recipe.context:,} tokens, not {context:,}")


def fit_build(
    recipe: Recipe, name: str, device: Device, context: int | None, made: Memory | None
) -> Fitting:
    """Whether one build fits.

    Args:
        recipe: the model.
        name: of the build.
        device: where it is to run.
        context: tokens that it is to hold; `None` for what the build holds.
        made: what the finished build takes; `None` for an estimate.
    """
    memory = made or estimated(recipe, recipe.build[name], context)
    found = Fitting(recipe.ref, name, device, memory, made is not None)
    reasons = tuple(_reasons(found, recipe, context))
    instead = _instead(recipe, name, device, context) if reasons else None
    return Fitting(recipe.ref, name, device, memory, made is not None, reasons, instead)


def estimated(recipe: Recipe, build: Build, context: int | None = None) -> Memory:
    """What a build takes before it is made.

    Activations are what the recipe says, and at least what the format's estimate leaves for them.

    Args:
        recipe: the model.
        build: one of its builds.
        context: tokens that the caches are to hold; `None` for what the build says, or the usual.
    """
    weights = estimates.build_bytes(recipe, build)
    whole = max(estimates.memory_bytes(recipe, build) - RUNTIME_BYTES, weights)
    said = build.options.get("context")
    tokens = context or (said if isinstance(said, int) else USUAL_CONTEXT)
    held = min(tokens, recipe.context or tokens)
    caches = held * (recipe.cache_per_token or 0) + (recipe.cache_bytes or 0)
    return Memory(weights, caches, max(whole - weights, recipe.activation_bytes or 0))


def _reasons(found: Fitting, recipe: Recipe, context: int | None) -> Iterator[str]:
    device, memory = found.device, found.memory
    if found.needed > device.most:
        yield f"it needs {human(found.needed)}, and an app may have {human(device.most)}"
    if context is not None and memory.context is not None and context > memory.context:
        yield (
            f"its caches hold {memory.context:,} tokens, and {context:,} are asked for: build it "
            f"with options = {{ context = {context} }}"
        )
    build = recipe.build[found.build]
    if not device.phone:
        return
    if format_of(build.format).runs_source:
        yield f"the format '{build.format}' does not run on {device.name}"
    engine = target_of(recipe, build) == "iphone-neural-engine"
    most = ENGINE_PACKAGE if engine else PHONE_PACKAGE
    largest = memory.largest_package or (0 if engine else memory.weights)
    if format_of(build.format).packages and largest > most:
        yield f"one package has {human(largest)} of weights, and a phone loads {human(most)}"


def _instead(recipe: Recipe, name: str, device: Device, context: int | None) -> str | None:
    """The build with the most bits that fits, by estimate."""
    fitting = [
        other
        for other, build in recipe.build.items()
        if other != name
        and not build.offered_by
        and not list(
            _reasons(
                Fitting(recipe.ref, other, device, estimated(recipe, build, context), False),
                recipe,
                None,
            )
        )
    ]
    return max(fitting, key=lambda n: estimates.bits_per_weight(recipe.build[n]), default=None)
