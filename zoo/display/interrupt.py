"""Ctrl-C, and whether it was pressed: a library that catches every exception can swallow it.

What follows then is an error of a half-imported module, which nobody should be blamed for. And a
plugin can raise KeyboardInterrupt by itself, which is its own fault like any other exception.
"""

from __future__ import annotations

import signal
from types import FrameType

_received: list[int] = []
"""The signals that came."""

_watched: list[bool] = []
"""Not empty when every interrupt is noted."""


def watch() -> None:
    """Note an interrupt from now on, unless the process handles it in its own way."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    if handler in (signal.default_int_handler, signal.SIG_IGN):
        _watched.append(True)


def received() -> bool:
    """Whether the process was interrupted."""
    return bool(_received)


def pressed(error: BaseException) -> bool:
    """Whether an exception is Ctrl-C, and not a KeyboardInterrupt that some code raised by itself.

    In a program that uses zoo as a library, nobody watches, and each of them is Ctrl-C.
    """
    return isinstance(error, KeyboardInterrupt) and (received() or not _watched)


def let_through(error: BaseException) -> None:
    """Raise an exception again that is Ctrl-C: all others of a plugin are its own fault."""
    if pressed(error):
        raise error


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
