"""What the weights of a package take, reported for each: coremltools skips weights silently."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from zoo.formats.coreml.compress.passes import LEDGER_FILE
from zoo.progress import Progress


@dataclass(frozen=True)
class Entry:
    """One weight: its shape, how it is stored in words, and the bits that it takes on disk."""

    shape: tuple[int, ...]
    scheme: str
    bits: int


@dataclass
class Ledger:
    """The weights of a package.

    Attributes:
        entries: each weight, by its name.
        skipped: those that stayed float16 although they should not have, and why.
        figures: what was measured when the schemes were chosen, if it was.
        layers: the bits that were chosen for each weight then: what the option `layers` of the
            pass `palettize` takes.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    layers: dict[str, int] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """How many single weights there are."""
        total = 0
        for entry in self.entries.values():
            count = 1
            for length in entry.shape:
                count *= length
            total += count
        return total

    @property
    def bits(self) -> int:
        """Bits that all of them take on disk, with scales and tables."""
        return sum(entry.bits for entry in self.entries.values())

    @property
    def bits_per_weight(self) -> float:
        """Bits on disk for each weight, with scales and tables."""
        return self.bits / max(self.weights, 1)

    def add(self, name: str, entry: Entry) -> None:
        """Note a weight, or another piece of one: their bits are added up."""
        before = self.entries.get(name)
        if before is not None:
            kinds = dict.fromkeys([*before.scheme.split(" and "), entry.scheme])
            entry = Entry(entry.shape, " and ".join(kinds), before.bits + entry.bits)
        self.entries[name] = entry

    def write(self, folder: Path) -> None:
        """Keep the ledger in `folder`."""
        data = {"bits_per_weight": round(self.bits_per_weight, 4), **asdict(self)}
        (folder / LEDGER_FILE).write_text(json.dumps(data, indent=1), encoding="utf-8")


def report(ledger: Ledger, progress: Progress) -> None:
    """Report the bits per weight, and how many weights are not stored as the passes ask."""
    if ledger.skipped:
        name, reason = next(iter(ledger.skipped.items()))
        count = "1 weight" if len(ledger.skipped) == 1 else f"{len(ledger.skipped)} weights"
        progress.note(f"{count} left uncompressed, listed in {LEDGER_FILE}; '{name}': {reason}")
    progress.note(f"{ledger.bits_per_weight:.2f} bits per weight")
