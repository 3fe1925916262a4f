"""How the weights of a finished build are stored: the ledger that its passes left, for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zoo.catalogs.formats import format_of
from zoo.cli import facts, output
from zoo.cli.output import Column
from zoo.errors import IntegrityError

if TYPE_CHECKING:
    from zoo.store.store import Artifact

SCHEMES = (
    Column("STORED AS"),
    Column("TENSORS", right=True),
    Column("WEIGHTS", right=True),
    Column("BITS", right=True),
)
PARTS = {
    "bits_per_weight": float,
    "entries": dict,
    "skipped": dict,
    "figures": dict,
    "layers": dict,
}
SKIPPED = (Column("LEFT AS IT WAS"), Column("BECAUSE"))


def read(artifact: Artifact) -> dict[str, Any] | None:
    """The ledger of a build, or `None` when its format keeps none.

    Returns: {bits_per_weight, entries: {weight: {shape, scheme, bits}}, skipped: {weight: reason},
    figures: {name: number}, layers: {weight: bits}}; the last two where bits were chosen.

    Raises:
        IntegrityError: it is damaged.
    """
    named = format_of(artifact.manifest.format).ledger
    if named is None:
        return None
    path = artifact.path / named
    try:
        data: Any = json.loads(path.read_bytes())
        return {key: kind(data.get(key, kind())) for key, kind in PARTS.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path} cannot be read: {error}", "see 'zoo verify'") from error


def show(data: dict[str, Any]) -> None:
    """A table of the ways in which weights are stored, and one of those that were skipped."""
    schemes: dict[str, list[int]] = {}
    for entry in data["entries"].values():
        numbers = 1
        for length in entry["shape"]:
            numbers *= length
        total = schemes.setdefault(entry["scheme"], [0, 0, 0])
        total[0] += 1
        total[1] += numbers
        total[2] += entry["bits"]
    rows = [
        (scheme, tensors, facts.count(numbers), f"{bits / numbers:.2f}")
        for scheme, (tensors, numbers, bits) in sorted(schemes.items(), key=lambda s: -s[1][1])
    ]
    output.tell()
    output.table(SCHEMES, rows)
    if data["skipped"]:
        output.tell()
        output.table(SKIPPED, data["skipped"].items())
    output.tell()
    output.facts(
        [
            ("bits per weight", f"{data['bits_per_weight']:.2f}"),
            *((name.replace("_", " "), f"{n:.4g}") for name, n in data["figures"].items()),
        ]
    )
