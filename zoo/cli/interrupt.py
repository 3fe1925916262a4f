"""Ctrl-C, and whether it was pressed: a library that catches every exception can swallow it.

What follows then is an error of a half-imported module, which nobody should be blamed for.
"""

from __future__ import annotations

import signal
from types import FrameType

_received: list[int] = []
"""The signals that came."""


def watch() -> None:
    """Note an interrupt from now on, unless the process ignores it or handles it in its own way."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def received() -> bool:
    """Whether the process was interrupted."""
    return bool(_received)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
