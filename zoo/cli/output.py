"""What the verbs print: tables and JSON to stdout, notes and warnings to stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from zoo.cli.terminal import Styled, is_terminal, styled, width, wrapped
from zoo.display.redaction import redacted
from zoo.words import harmless

UNPRINTED = re.compile("[^\n\x20-\x7e]")
GAP = 2
LEAST = 16
"""Letters that a column is narrowed to before others are left out."""


class Column(NamedTuple):
    """A column of a table.

    A terminal that is too narrow breaks the text of columns that `wrap` into lines, and then loses
    the columns with the highest `drop`.
    """

    title: str
    right: bool = False
    drop: int = 0
    wrap: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns to stdout, as many as the terminal has room for.

    A cell may be `Styled`; colors and links are for terminals.
    """
    if not is_terminal():
        _plain_table(columns, rows)
        return
    cells = [[cell if isinstance(cell, Styled) else Styled(cell) for cell in row] for row in rows]
    texts = [[clean(cell.text) for cell in row] for row in cells]
    widths = [
        max(len(column.title), *(len(row[i]) for row in texts), 0)
        for i, column in enumerate(columns)
    ]
    shown = _fitting(columns, texts, widths)
    titles = [Styled(column.title, "bold") for column in columns]
    _print_row(titles, [column.title for column in columns], columns, widths, shown)
    for row, plain in zip(cells, texts, strict=True):
        _print_row(row, plain, columns, widths, shown)


def _plain_table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """A table for a pipe: every column that has something in it, each row on one line."""
    texts = [_plain(row) for row in rows]
    shown = [i for i in range(len(columns)) if not texts or any(row[i] for row in texts)]
    lines = [[columns[i].title for i in shown], *([row[i] for i in shown] for row in texts)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = [">" if columns[i].right else "<" for i in shown]
    cells = [f"{{:{side}{room}}}" for side, room in zip(sides, widths, strict=True)]
    row = (" " * GAP).join(cells).format
    print("\n".join([row(*line).rstrip() for line in lines]), file=sys.stdout)


def _plain(row: Sequence[object]) -> Sequence[str]:
    """The cells of a row as text; most rows need no more than a look at all of them at once."""
    texts = [cell if isinstance(cell, str) else clean(cell) for cell in row]
    return texts if "".join(texts).isprintable() else [clean(text) for text in texts]


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Lines of a name and its value; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value not in (None, "", ())]
    margin = max((len(clean(name)) for name, _ in shown), default=0) + GAP
    for name, value in shown:
        cell = value if isinstance(value, Styled) else Styled(value)
        label = styled(clean(name).ljust(margin), "dim")
        for number, line in enumerate(_lines(clean(cell.text), margin)):
            said = styled(line, cell.style, cell.url)
            print((label if number == 0 else " " * margin) + said, file=sys.stdout)


def paragraph(text: str, style: str = "", indent: int = 0) -> None:
    """A text to stdout, broken between words where a terminal is too narrow."""
    for line in _lines(clean(text), indent):
        print(" " * indent + styled(line, style), file=sys.stdout)


def heading(text: str) -> None:
    """A blank line and a title."""
    print(file=sys.stdout)
    print(styled(clean(text), "bold"), file=sys.stdout)


def _lines(text: str, margin: int) -> list[str]:
    return list(wrapped(text, width() - margin)) if is_terminal() else [text]


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


def prompt(text: str) -> None:
    """What a model was given, dimly and without a line break after it."""
    print(styled(text, "dim"), end="", file=sys.stdout, flush=True)


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
    if isinstance(value, str) and value.isprintable():
        return value
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
    room = width()
    while (over := sum(widths[i] + GAP for i in shown) - GAP - room) > 0:
        wrapping = [i for i in shown if columns[i].wrap and widths[i] > LEAST]
        last = max(shown, key=lambda i: columns[i].drop)
        if sum(widths[i] - LEAST for i in wrapping) >= over or not columns[last].drop:
            _narrow(widths, wrapping, over)
            break
        shown.remove(last)
    return shown


def _narrow(widths: list[int], columns: list[int], letters: int) -> None:
    """Take letters from the widest columns, a letter at a time, as far as they have them."""
    for _ in range(letters):
        widest = max(columns, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= LEAST:
            return
        widths[widest] -= 1


def _print_row(
    cells: Sequence[Styled],
    texts: Sequence[str],
    columns: Sequence[Column],
    widths: list[int],
    shown: list[int],
) -> None:
    broken = {
        i: list(wrapped(texts[i], widths[i]))
        if columns[i].wrap and len(texts[i]) > widths[i]
        else [texts[i]]
        for i in shown
    }
    for number in range(max((len(lines) for lines in broken.values()), default=0)):
        parts = []
        for i in shown:
            text = broken[i][number] if number < len(broken[i]) else ""
            blanks = " " * (widths[i] - len(text))
            last = i == shown[-1]
            said = styled(text, cells[i].style, cells[i].url)
            parts.append(f"{blanks}{said}" if columns[i].right else said + blanks * (not last))
        print((" " * GAP).join(parts).rstrip(), file=sys.stdout)
