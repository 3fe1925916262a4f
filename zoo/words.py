"""Words for people: the nearest known name, bytes and numbers, and text that steers nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""Characters that steer a terminal or turn the direction of its text: all but tab and line feed."""


def suggest(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` for the nearest known word, or the empty string."""
    close = nearest(word, known)
    return f", did you mean '{close[0]}'?" if close else ""


def nearest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """The known words that are close to `word`, the closest first."""
    import difflib

    return difflib.get_close_matches(word, list(known), n=most)


def human(count: float | None) -> str:
    """Bytes for people: `14.5 GB`."""
    if count is None:
        return "?"
    size = abs(count)
    if size < 1e3:
        return f"{count:.0f} B"
    if size < 1e6:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.1f} MB" if size < 1e9 else f"{count / 1e9:.1f} GB"


def count(number: int) -> str:
    """A large number for people: `7.2B`."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(number)


UNITS = {
    "": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9,
    "TB": 10**12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30,
}  # fmt: skip


def read_bytes(text: str) -> int:
    """Bytes as people write them, such as `500MB`, `2.5 GB` or `4GiB`.

    Raises:
        ValueError: it is no number of bytes above zero, or more than any disk has.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].upper() not in UNITS:
        raise ValueError(f"'{text}' is not a size; write it as 500MB or 2.5GB")
    size = float(match[1]) * UNITS[match[2].upper()]
    if not 1 <= size < 2**63:
        raise ValueError("a size must be above zero, and below 8 million terabytes")
    return int(size)


def harmless(text: str) -> str:
    """Text whose characters cannot steer a terminal or turn its direction; line breaks stay."""
    return text if text.isascii() and text.isprintable() else STEERING.sub(" ", text)
