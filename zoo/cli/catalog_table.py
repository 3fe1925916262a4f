"""The catalog on a screen: a line a model where there is room, else two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.cli import output
from zoo.cli.output import Column
from zoo.cli.terminal import Styled, is_terminal, shortened, styled, width
from zoo.words import count, human

PIPED = (
    Column("NAME"), Column("TASK"), Column("PARAMS", right=True), Column("SIZE", right=True),
    Column("MEMORY", right=True), Column("FITS"), Column("LICENSE"), Column("FORMATS"),
    Column("INSTALLED"), Column("NOTES"), Column("SUMMARY"),
)  # fmt: skip
TITLES = ("NAME", "TASK", "SIZE", "MEMORY", "FITS")
RIGHT = (False, False, True, True, False)
ROOM = 44
"""Letters of license, notes and summary below which they get a line of their own."""


def show(models: list[dict[str, Any]]) -> None:
    """Models to stdout, as a table."""
    if not is_terminal():
        output.table(PIPED, map(_piped, models))
        return
    rows = [_cells(model) for model in models]
    widths = [
        max(len(title), *(len(output.clean(row[i])) for row in rows))
        for i, title in enumerate(TITLES)
    ]
    room = width() - sum(widths) - output.GAP * len(widths)
    print(_line([Styled(title, "bold") for title in TITLES], widths))
    for model, row in zip(models, rows, strict=True):
        line = _line(row, widths)
        if room >= ROOM:
            print(f"{line}  {_notes(model, room)}".rstrip())
        else:
            print(line)
            print(f"  {_notes(model, width() - 2)}")


def footer(models: list[dict[str, Any]], total: int, memory: int) -> None:
    """What the table means, on stderr."""
    more = f"{len(models)} of {total} models" if len(models) < total else _number(total)
    unsure = any(not model["download_exact"] for model in models)
    output.note(
        f"{more}; * marks the default variant; SIZE is the download"
        f"{' (~ estimated)' if unsure else ''}, MEMORY what the default build needs of the "
        f"{human(memory)} here"
    )
    output.note(
        "zoo show NAME says everything about a model, zoo list --help has filters"
        if len(models) == total
        else f"{total - len(models)} more, without --limit"
    )


def size(model: dict[str, Any]) -> str:
    """Bytes to download; `~` before an estimate."""
    return ("" if model["download_exact"] else "~") + human(model["download_bytes"])


def _number(total: int) -> str:
    return "1 model" if total == 1 else f"{total} models"


def _cells(model: dict[str, Any]) -> list[Styled]:
    star = " *" if model["name"] else ""
    fits = Styled("yes", "green") if model["fits"] else Styled("no", "red")
    return [
        Styled(f"{model['ref']}{star}", "bold" if star else ""),
        Styled(model["label"]),
        Styled(size(model)),
        Styled(f"~{human(model['memory_bytes'])}"),
        fits,
    ]


def _line(cells: list[Styled], widths: list[int]) -> str:
    parts = []
    for cell, room, right in zip(cells, widths, RIGHT, strict=True):
        text = output.clean(cell.text)
        blanks, said = " " * (room - len(text)), styled(text, cell.style)
        parts.append(blanks + said if right else said + blanks)
    return (" " * output.GAP).join(parts).rstrip()


def _notes(model: dict[str, Any], room: int) -> str:
    """License, state and summary in `room` letters; the summary is cut between words."""
    said, used = [], 0
    for part, style in _parts(model):
        text = shortened(output.clean(part), max(room - used, 1))
        said.append(styled(text, style))
        used += len(text) + 3
        if room - used < 8:
            break
    return " · ".join(said)


def _parts(model: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield model["license_name"], "yellow" if model["commercial"] == "no" else "dim"
    if model["gated"]:
        yield "gated", "yellow"
    if not model["pinned"]:
        yield "unpinned", "yellow"
    if model["installed"]:
        yield f"installed: {', '.join(model['installed'])}", "green"
    yield model["summary"], ""


def _piped(model: dict[str, Any]) -> tuple[object, ...]:
    notes = [f"= {model['name']}"] if model["name"] else []
    notes += ["gated"] * model["gated"] + ["unpinned"] * (not model["pinned"])
    return (
        model["ref"],
        model["label"],
        count(model["parameters"]),
        size(model),
        f"~{human(model['memory_bytes'])}",
        model["fits"],
        model["license_name"],
        ",".join(model["formats"]),
        ",".join(model["installed"]) or "-",
        ", ".join(notes),
        model["summary"],
    )
