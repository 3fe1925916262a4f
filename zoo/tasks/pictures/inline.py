"""Pictures between the lines of a terminal, by the protocols of iTerm2 and of kitty.

https://iterm2.com/documentation-images.html and
https://sw.kovidgoyal.net/kitty/graphics-protocol. A terminal is known by its environment and never
asked; inside tmux or screen, which do not pass pictures on, there are none.
"""

from __future__ import annotations

import base64
import os
import sys
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

ITERM = ("iTerm.app", "WezTerm")
KITTY = ("ghostty",)
CHUNK = 4096
"""Bytes of base64 in one command of kitty's protocol."""


def inline(picture: Image) -> bytes:
    """Return the bytes that show an image inline in the terminal of stdout.

    Returns: no bytes if stdout is not a terminal, or one that is not known to show images.
    """
    if not sys.stdout.isatty() or "TMUX" in os.environ or "STY" in os.environ:
        return b""
    program = os.environ.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in os.environ or program in KITTY:
        return _kitty(_png(picture))
    return _iterm(_png(picture)) if program in ITERM else b""


def _png(picture: Image) -> bytes:
    made = BytesIO()
    picture.save(made, "PNG")
    return made.getvalue()


def _iterm(png: bytes) -> bytes:
    return b"\033]1337;File=inline=1;size=%d:%s\a\n" % (len(png), base64.b64encode(png))


def _kitty(png: bytes) -> bytes:
    """The picture in commands of bounded size, of which all but the last say that more follows."""
    data = base64.b64encode(png)
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    commands = []
    for number, part in enumerate(parts):
        keys = b"a=T,f=100,q=2," if number == 0 else b""
        more = number + 1 < len(parts)
        commands.append(b"\033_G%sm=%d;%s\033\\" % (keys, more, part))
    return b"".join((*commands, b"\n"))
