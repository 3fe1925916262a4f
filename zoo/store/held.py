"""Which keys of a store this thread has locked, so that it may lock one of them again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Held:
    """The keys that this thread has locked in one store."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def __contains__(self, key: str) -> bool:
        return key in getattr(self._of_thread, "keys", ())

    @contextmanager
    def __call__(self, key: str) -> Iterator[None]:
        before: frozenset[str] = getattr(self._of_thread, "keys", frozenset())
        self._of_thread.keys = before | {key}
        try:
            yield
        finally:
            self._of_thread.keys = before
