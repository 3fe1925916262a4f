"""Keep what others print off our stdout, which is for data alone."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO


@contextmanager
def diverted() -> Iterator[None]:
    """What Python code prints meanwhile goes to stderr."""
    with redirect_stdout(_Elsewhere(sys.stdout)):
        yield


class _Elsewhere(io.TextIOBase):
    """Writes to stderr, and answers questions about stdout as that would."""

    def __init__(self, stdout: TextIO) -> None:
        super().__init__()
        self.stdout = stdout

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stdout.encoding

    @property
    def buffer(self) -> Any:
        return sys.stderr.buffer

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return self.stdout.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()
