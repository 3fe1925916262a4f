"""What the terminal can do: its width, colors and links, none of which go to a pipe.

`NO_COLOR` turns colors and links off (https://no-color.org). A link is OSC 8, which terminals
without links ignore (https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from zoo.words import harmless

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34"}
NARROWEST, WIDEST = 40, 160


class Styled(NamedTuple):
    """A text with a style: names of `CODES` with blanks between them, and what it links to."""

    text: object
    style: str = ""
    url: str = ""

    def __str__(self) -> str:
        return str(self.text)


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def has_colors() -> bool:
    """Whether stdout may get colors and links."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal, within reason."""
    try:
        columns = int(os.environ.get("COLUMNS", "")) or os.get_terminal_size().columns
    except (OSError, ValueError):
        try:
            columns = os.get_terminal_size().columns
        except OSError:
            columns = 80
    return max(NARROWEST, min(WIDEST, columns or 80))


def styled(text: str, style: str = "", url: str = "") -> str:
    """A text in a style where stdout has colors; what steers a terminal is taken out of it."""
    text = harmless(text)
    if not has_colors() or not text:
        return text
    if url.startswith(("https://", "http://")) and harmless(url) == url and " " not in url:
        text = f"\033]8;;{url}\033\\{text}\033]8;;\033\\"
    codes = ";".join(CODES[name] for name in style.split())
    return f"\033[{codes}m{text}\033[0m" if codes else text


def wrapped(text: str, room: int) -> Iterator[str]:
    """A text in lines of at most `room` letters, broken between words where they fit."""
    line = ""
    for whole in text.split():
        word = whole
        while len(word) > room:
            if line:
                yield line
                line = ""
            cut = max((word.rfind(mark, 0, room) for mark in "-/@,:_."), default=-1) + 1 or room
            yield word[:cut]
            word = word[cut:]
        joined = f"{line} {word}" if line else word
        if len(joined) > room:
            yield line
            line = word
        else:
            line = joined
    yield line


def shortened(text: str, room: int) -> str:
    """A text cut between words to at most `room` letters, with an ellipsis where it was cut."""
    if len(text) <= room:
        return text
    cut = text[: max(1, room - 1)].rpartition(" ")[0] or text[: max(1, room - 1)]
    return cut.rstrip(" ,;:") + "…"
