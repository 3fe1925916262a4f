"""Words for people: the nearest known name, bytes and numbers, and text that steers nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""Characters that steer a terminal or turn the direction of its text: all but tab and line feed."""


def suggest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the nearest known word, or the empty string."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""


def human(count: float | None) -> str:
    """Bytes for people: `14.5 GB`."""
    if count is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def count(number: int) -> str:
    """A large number for people: `7.2B`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(number)


def harmless(text: str) -> str:
    """Text whose characters cannot steer a terminal or turn its direction; line breaks stay."""
    return text if text.isascii() and text.isprintable() else STEERING.sub(" ", text)
