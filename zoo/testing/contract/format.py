"""Claims about a format: its description and its reports."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from unittest import SkipTest

from zoo.catalogs.formats import Weights, described, format_of
from zoo.catalogs.recipe import Optimization
from zoo.errors import MissingPlugin
from zoo.registry.discovery import DESCRIPTIONS, providers
from zoo.reports.costs import Cost
from zoo.testing.contract.claim import BrokenClaim, Claims, require
from zoo.testing.contract.imports import require_light
from zoo.testing.contract.steps import STRANGE
from zoo.testing.contract.subject import Subject

FORMAT = Claims()
SIZES = Weights(1_000_000, 2_000_000)


@FORMAT.claim
def light_description(subject: Subject) -> None:
    """Importing the description imports no framework and prints nothing."""
    origins = providers(DESCRIPTIONS).get(subject.format, ())
    if not origins:
        raise SkipTest("the format has no description of its own")
    try:
        described(subject.format)
    except MissingPlugin as error:
        raise BrokenClaim(error.message) from error
    require_light(origins)


@FORMAT.claim
def sizes_are_estimated(subject: Subject) -> None:
    """Estimates of bits, disk space and memory are above zero and finite."""
    format = format_of(subject.format)
    found = {
        "bits_per_weight": format.bits_per_weight(subject.build),
        "disk_bytes": format.disk_bytes(SIZES, subject.build),
        "memory_bytes": format.memory_bytes(SIZES, subject.build),
    }
    for name, value in found.items():
        require(isfinite(value) and value > 0, f"{name} is {value}")


@FORMAT.claim
def passes_are_read_with_the_recipe(subject: Subject) -> None:
    """An unknown pass is reported when the recipe is read, before any work."""
    if not providers(DESCRIPTIONS).get(subject.format):
        raise SkipTest("the format has no description of its own")
    if not format_of(subject.format).takes_passes:
        raise SkipTest("zoo refuses passes in this format itself, when the build is asked for")
    build = replace(subject.build, optimize=(Optimization(STRANGE),))
    found = list(format_of(subject.format).faults(subject.recipe, build))
    require(found, f"a recipe with a pass '{STRANGE}' has no faults")
    right = all(isinstance(part, str) for fault in found for part in fault)
    require(right, "a fault is not a key path and a sentence")


@FORMAT.claim
def cost_is_reported(subject: Subject) -> None:
    """A format with `reports_cost` reports the cost of its builds."""
    if not format_of(subject.format).reports_cost:
        raise SkipTest("the format does not say that it reports costs")
    folder = subject.made().folder
    found = subject.ask("cost", build=subject.build, artifact=folder, tokens=None)
    require(isinstance(found, Cost), f"cost returned {found!r}, which is not a zoo.Cost")
