"""`zoo plan`: what making a build would do; no network, no plugin code.

JSON: {ref, build, format, pinned, steps: [{name, provider, done, bytes}], bytes_needed,
memory_bytes, machine_memory_bytes, fits, license, license_name, commercial, gated, missing,
install}.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from zoo import machine
from zoo.catalogs.licenses import ANSWERS, license_of
from zoo.cli import options, output
from zoo.cli.output import Column
from zoo.display.notices import Notices
from zoo.pipeline.opening import open_plan
from zoo.words import human

COLUMNS = (Column("STEP"), Column("BY"), Column("STATE"), Column("BYTES", right=True))


@click.command(name="plan")
@options.model
@options.build_choice
@options.as_json
def command(
    name: str, build: str | None, format: str | None, family: str | None, as_json: bool
) -> None:
    """Show what a build would download, write and need."""
    plan, recipe = open_plan(name, build, format, family, Notices())
    memory, license = machine.memory(), license_of(recipe.license)
    data = {
        "ref": plan.ref,
        "build": plan.build,
        "format": plan.format,
        "pinned": plan.pinned,
        "steps": [asdict(step) for step in plan.steps],
        "bytes_needed": plan.bytes_needed,
        "memory_bytes": plan.memory,
        "machine_memory_bytes": memory,
        "fits": plan.memory <= memory,
        "license": recipe.license,
        "license_name": license.name,
        "commercial": license.commercial,
        "gated": recipe.gated,
        "missing": list(plan.missing),
        "install": plan.install if plan.missing else None,
    }
    if as_json:
        output.document(data)
    else:
        _print(data)


def _print(data: dict[str, Any]) -> None:
    output.tell(f"{data['ref']}/{data['build']} ({data['format']})")
    output.tell()
    output.table(COLUMNS, map(_row, data["steps"]))
    output.tell()
    room = human(data["machine_memory_bytes"])
    verdict = "fits" if data["fits"] else "does not fit"
    missing = f"{', '.join(data['missing'])}: {data['install']}" if data["missing"] else None
    output.facts(
        [
            ("to write", human(data["bytes_needed"])),
            ("memory", f"{human(data['memory_bytes'])} of {room}: {verdict}"),
            ("license", f"{data['license_name']} - {ANSWERS[data['commercial']]}"),
            ("gated", "accept the authors' terms first" if data["gated"] else None),
            ("source", None if data["pinned"] else "UNPINNED until the first pull"),
            ("missing", missing),
        ]
    )


def _row(step: dict[str, Any]) -> tuple[object, ...]:
    state = "done" if step["done"] else "each time" if step["name"] == "run" else "to do"
    return step["name"], step["provider"], state, human(step["bytes"])
