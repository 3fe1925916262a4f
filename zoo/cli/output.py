"""What the verbs print: tables and JSON to stdout, notes and warnings to stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from zoo.redaction import redacted
from zoo.words import harmless

UNPRINTED = re.compile("[^\n\x20-\x7e]")
BOLD, PLAIN = "\033[1m", "\033[0m"
GAP = 2


class Column(NamedTuple):
    """A column of a table; a terminal that is too narrow loses those with the highest `drop`."""

    title: str
    right: bool = False
    drop: int = 0


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns to stdout, as many as the terminal has room for."""
    texts = [[clean(cell) for cell in row] for row in rows]
    widths = [
        max(len(column.title), *(len(row[i]) for row in texts), 0)
        for i, column in enumerate(columns)
    ]
    shown = _fitting(columns, texts, widths)
    header = _line([column.title for column in columns], columns, widths, shown)
    tell(f"{BOLD}{header}{PLAIN}" if sys.stdout.isatty() else header)
    for row in texts:
        tell(_line(row, columns, widths, shown))


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Lines of a name and its value; empty values are left out."""
    shown = [(name, clean(value)) for name, value in pairs if value not in (None, "", ())]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        tell(f"{name:<{width}}  {value}")


def document(data: dict[str, Any]) -> None:
    """One JSON document to stdout; what a terminal must not get is escaped in it."""
    import json

    text = json.dumps(data, indent=2, ensure_ascii=False)
    if not text.isascii() or "\x7f" in text:
        text = UNPRINTED.sub(_escaped, text)
    print(text, file=sys.stdout)


def tell(text: object = "") -> None:
    """Data to stdout, a line or several."""
    print(harmless(str(text)), file=sys.stdout)


def note(text: str) -> None:
    """A line for people, on stderr."""
    warn(f"zoo: {text}")


def warn(text: str) -> None:
    """A line on stderr, without secrets; silent when stderr cannot be written."""
    try:
        print(harmless(redacted(text)), file=sys.stderr, flush=True)
    except OSError:  # what is left in its buffer would fail again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    except ValueError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _escaped(match: re.Match[str]) -> str:
    letter = match[0]
    if letter.isprintable():
        return letter
    code = ord(letter)
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD800 + ((code - 0x10000) >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def clean(value: object) -> str:
    """A value as text that cannot steer a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def one_line(text: str) -> str:
    """A message without its line breaks."""
    return clean(" ".join(text.split()))


def _fitting(columns: Sequence[Column], texts: list[list[str]], widths: list[int]) -> list[int]:
    """The columns to show: those with something in them that the terminal has room for."""
    shown = [i for i in range(len(columns)) if not texts or any(row[i] for row in texts)]
    if not sys.stdout.isatty():
        return shown
    import shutil

    room = shutil.get_terminal_size().columns
    while sum(widths[i] + GAP for i in shown) - GAP > room:
        last = max(shown, key=lambda i: columns[i].drop)
        if not columns[last].drop:
            break
        shown.remove(last)
    return shown


def _line(
    cells: Sequence[str], columns: Sequence[Column], widths: list[int], shown: list[int]
) -> str:
    padded = (
        cells[i].rjust(widths[i]) if columns[i].right else cells[i].ljust(widths[i]) for i in shown
    )
    return (" " * GAP).join(padded).rstrip()
