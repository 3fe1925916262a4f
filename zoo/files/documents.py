"""JSON and TOML from outside: whatever they hold, a fault of theirs is a `ValueError`."""

from __future__ import annotations

import json
import tomllib
from typing import Any

DEEPEST = 100
"""Levels of nesting that a document may have; recipes have 5, the largest manifests 10."""


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none, is nested deeper than `DEEPEST`, or has an integer that is too long.
    """
    try:
        made = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    _require_shallow(made)
    return made


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML text says.

    Raises:
        ValueError: as for `parse_json`.
    """
    try:
        made = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    _require_shallow(made)
    return made


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")
