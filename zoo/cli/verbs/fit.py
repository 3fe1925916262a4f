"""`zoo fit`: whether a build fits a device.

JSON: {ref, build, device: {name, memory, app, entitled, source, estimated}, exact, weights, caches,
activations, runtime, needed, fits, entitlement, reasons: [text], instead}. Sizes are in bytes.
`exact` says whether caches and activations are read from the finished build. `instead` is a build
that fits, by estimate, or null.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from zoo import api, machine
from zoo.cli import options, output
from zoo.errors import Exit, UsageError
from zoo.pipeline.fitting import Fitting
from zoo.reports.devices import Device, find_device
from zoo.words import human


@click.command(name="fit")
@options.model
@options.build_choice
@click.option("--device", help="Device, such as iphone-15-pro; an unknown name lists them all.")
@click.option("--memory", type=options.SIZE, help="Memory budget, such as 8GB.")
@click.option(
    "--context", type=click.IntRange(1), help="Context length of a language model, in tokens."
)
@options.as_json
def command(
    name: str,
    build: str | None,
    format: str | None,
    family: str | None,
    device: str | None,
    memory: int | None,
    context: int | None,
    as_json: bool,
) -> int:
    """Check whether a build fits a device; by default, this machine.

    Counts weights, caches and the largest activations against what an app may take there. Nothing
    is fetched: a build that is not made yet is estimated. Exit code 1: it does not fit.
    """
    if device is not None and memory is not None:
        raise UsageError("give either --device or --memory, not both")
    found = api.fit_device(
        name, _room(device, memory), context=context, build=build, format=format, family=family
    )
    if as_json:
        output.document(_described(found))
    else:
        _print(found)
    return Exit.OK if found.fits else Exit.NEGATIVE


def _room(device: str | None, memory: int | None) -> Device:
    if device is not None:
        return find_device(device)
    if memory is not None:
        return Device("memory", memory, memory)
    return Device("this machine", machine.memory(), machine.memory())


def _described(found: Fitting) -> dict[str, Any]:
    memory = asdict(found.memory)
    return {
        "ref": found.ref,
        "build": found.build,
        "device": asdict(found.device),
        "exact": found.exact,
        **{key: memory[key] for key in ("weights", "caches", "activations")},
        "runtime": found.runtime,
        "needed": found.needed,
        "fits": found.fits,
        "entitlement": found.entitlement,
        "reasons": list(found.reasons),
        "instead": found.instead,
    }


def _caches(found: Fitting) -> str:
    if found.exact:
        return human(found.memory.caches)
    caches = found.memory.caches
    return f"{human(caches)} (estimate)" if caches else "not known before it is built"


def _print(found: Fitting) -> None:
    device, memory = found.device, found.memory
    output.tell(f"{output.clean(found.ref)}/{found.build} on {device.name}")
    output.tell()
    app = human(device.app)
    if device.entitled is not None:
        app += f", {human(device.entitled)} with the entitlement increased-memory-limit"
    output.facts(
        [
            ("weights", human(memory.weights)),
            ("caches", _caches(found)),
            ("activations", human(memory.activations) + ("" if found.exact else " (estimate)")),
            ("app and runtime", human(found.runtime)),
            ("together", human(found.needed)),
            ("an app may have", app + (" (estimate)" if device.estimated else "")),
            ("as reported in", device.source),
        ]
    )
    output.tell()
    if found.fits:
        output.tell("fits, with the entitlement alone" if found.entitlement else "fits")
        return
    output.tell(f"does not fit: {'; '.join(found.reasons)}")
    if found.instead:
        output.tell(f"this one does: {output.clean(found.ref)}/{found.instead}")
