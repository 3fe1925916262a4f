"""The catalog on a screen: a line a model where there is room, else two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo.cli import output
from zoo.cli.output import Column
from zoo.cli.terminal import Styled, is_terminal, shortened, styled, width
from zoo.words import count, human

if TYPE_CHECKING:
    from zoo.catalogs.facts import Facts
    from zoo.cli.catalog_line import Line

PIPED = (
    Column("NAME"), Column("TASK"), Column("PARAMS", right=True), Column("SIZE", right=True),
    Column("MEMORY", right=True), Column("FITS"), Column("LICENSE"), Column("FORMATS"),
    Column("INSTALLED"), Column("NOTES"), Column("SUMMARY"),
)  # fmt: skip
TITLES = ("NAME", "TASK", "SIZE", "MEMORY", "FITS")
RIGHT = (False, False, True, True, False)
ROOM = 44
"""Letters of license, notes and summary below which they get a line of their own."""


def show(lines: list[Line]) -> None:
    """Models to stdout, as a table."""
    if not is_terminal():
        output.table(PIPED, map(_piped, lines))
        return
    rows = [_cells(line) for line in lines]
    widths = [
        max(len(title), *(len(output.clean(row[i])) for row in rows))
        for i, title in enumerate(TITLES)
    ]
    room = width() - sum(widths) - output.GAP * len(widths)
    print(_aligned([Styled(title, "bold") for title in TITLES], widths))
    for line, row in zip(lines, rows, strict=True):
        text = _aligned(row, widths)
        if room >= ROOM:
            print(f"{text}  {_notes(line, room)}".rstrip())
        else:
            print(text)
            print(f"  {_notes(line, width() - 2)}")


def footer(lines: list[Line], total: int, memory: int) -> None:
    """What the table means, on stderr."""
    more = f"{len(lines)} of {total} models" if len(lines) < total else _number(total)
    unsure = any(not line.facts.download_exact for line in lines)
    output.note(
        f"{more}; * marks the default variant; SIZE is the download"
        f"{' (~ estimated)' if unsure else ''}, MEMORY what the default build needs of the "
        f"{human(memory)} here"
    )
    output.note(
        "zoo show NAME says everything about a model, zoo list --help has filters"
        if len(lines) == total
        else f"{total - len(lines)} more, without --limit"
    )


def size(facts: Facts) -> str:
    """Bytes to download; `~` before an estimate."""
    return ("" if facts.download_exact else "~") + human(facts.download_bytes)


def _number(total: int) -> str:
    return "1 model" if total == 1 else f"{total} models"


def _cells(line: Line) -> list[Styled]:
    star = " *" if line.listing.default else ""
    fits = Styled("yes", "green") if line.fits else Styled("no", "red")
    return [
        Styled(f"{line.listing.ref}{star}", "bold" if star else ""),
        Styled(line.facts.label),
        Styled(size(line.facts)),
        Styled(f"~{human(line.build.memory_bytes)}"),
        fits,
    ]


def _aligned(cells: list[Styled], widths: list[int]) -> str:
    parts = []
    for cell, room, right in zip(cells, widths, RIGHT, strict=True):
        text = output.clean(cell.text)
        blanks, said = " " * (room - len(text)), styled(text, cell.style)
        parts.append(blanks + said if right else said + blanks)
    return (" " * output.GAP).join(parts).rstrip()


def _notes(line: Line, room: int) -> str:
    """License, state and summary in `room` letters; the summary is cut between words."""
    said, used = [], 0
    for part, style in _parts(line):
        text = shortened(output.clean(part), max(room - used, 1))
        said.append(styled(text, style))
        used += len(text) + 3
        if room - used < 8:
            break
    return " · ".join(said)


def _parts(line: Line) -> Iterator[tuple[str, str]]:
    yield line.license.name, "yellow" if line.license.commercial == "no" else "dim"
    if line.facts.gated:
        yield "gated", "yellow"
    if not line.facts.pinned:
        yield "unpinned", "yellow"
    if line.installed:
        yield f"installed: {', '.join(sorted(line.installed))}", "green"
    yield line.facts.summary, ""


def _piped(line: Line) -> tuple[str, ...]:
    facts = line.facts
    notes = [f"= {line.listing.name}"] if line.listing.default else []
    notes += ["gated"] * facts.gated + ["unpinned"] * (not facts.pinned)
    return (
        line.listing.ref,
        facts.label,
        count(facts.parameters),
        size(facts),
        f"~{human(line.build.memory_bytes)}",
        "yes" if line.fits else "no",
        line.license.name,
        ",".join(facts.formats),
        ",".join(sorted(line.installed)) or "-",
        ", ".join(notes),
        facts.summary,
    )
