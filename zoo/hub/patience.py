"""A limit on how long a server may take to begin its answer, whatever it sends meanwhile.

The HTTP library has a limit for each read. A server that sends interim responses (`103 Early
Hints`) or a header byte by byte meets that limit at every read, and never comes to an end.
"""

from __future__ import annotations

import threading
import time
from typing import Any

LONGEST_BEGINNING = 60.0
"""Seconds until all headers of an answer are here."""

_waiting = threading.local()
"""For each thread, until when it waits for the headers of an answer."""


def limit(request: Any) -> None:
    """Limit a request of `httpx2`; this is a hook for requests of a client.

    It follows the request by the extension `trace`
    (https://www.encode.io/httpcore/extensions/#trace).
    """
    request.extensions = {**request.extensions, "trace": _trace}


def _trace(event: str, info: dict[str, Any]) -> None:
    _, name, state = event.split(".")
    if state == "complete" and name in ("connect_tcp", "connect_unix_socket", "start_tls"):
        _watch(info["return_value"])
    elif name == "receive_response_headers":
        begins = state == "started"
        _waiting.until = time.monotonic() + LONGEST_BEGINNING if begins else None


def _watch(stream: Any) -> None:
    """Refuse further reads of a connection by a thread whose time is over."""
    import httpx2

    read = stream.read

    def bounded(*args: Any, **options: Any) -> bytes:
        until = getattr(_waiting, "until", None)
        if until is not None and time.monotonic() > until:
            raise httpx2.ReadTimeout(f"no answer began in {LONGEST_BEGINNING:g} s")
        data: bytes = read(*args, **options)
        return data

    stream.read = bounded
