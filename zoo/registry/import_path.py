"""Where modules are imported from, kept from what a plugin does to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def import_path_kept() -> Iterator[None]:
    """Put back the folders that code of others takes from `sys.path`; it may add some."""
    path, before = sys.path, [*sys.path]
    try:
        yield
    finally:
        if missing := [folder for folder in before if folder not in sys.path]:
            path[:] = [*missing, *sys.path]
            sys.path = path
