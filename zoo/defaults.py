"""Hooks that hold for every family and format unless a plugin says otherwise.

The default `download` is in `zoo.hub`.
"""

from __future__ import annotations

from pathlib import Path

from zoo.hookspecs import hookimpl


@hookimpl
def convert(source: Path) -> Path:
    """The source's own files are what this format reads."""
    return source
