"""HTML for notebooks: a table of what an object is, with everything in it escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zoo.words import harmless


def pairs(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A title above names and their values; empty values are left out."""
    shown = [(name, value) for name, value in rows if value not in (None, "", (), [])]
    body = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in shown
    )
    return f"<table><caption>{_text(title)}</caption>{body}</table>"


def grid(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows below the names of their columns."""
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(v)}</td>' for v in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    from html import escape

    said = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
    return escape(harmless(str(said)))
