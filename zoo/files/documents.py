"""JSON and TOML from outside: whatever they hold, a fault of theirs is a `ValueError`."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

DEEPEST = 100
"""Levels of nesting that a document may have; recipes have 5, the largest manifests 10."""

HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
HALF_AS_BYTES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""What may be half of a surrogate pair in a JSON text."""

LONG_LINE = 1_000
DOTTED = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"]*+"|'[^']*+')\s*+\.\s*+){{{DEEPEST}}}""")
"""A dotted key of many parts, on which `tomllib` takes time that grows with their square."""


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none, is nested deeper than `DEEPEST`, has an integer that is too long, or
            has half of a surrogate pair, which is no text (RFC 7493, section 2.1).
    """
    try:
        made = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    _require_shallow(made)
    if (HALF.search(text) if isinstance(text, str) else HALF_AS_BYTES.search(text)) is not None:
        try:
            json.dumps(made, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it has half of a surrogate pair, which is no text") from None
    return made


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML text says.

    Raises:
        ValueError: as for `parse_json`; or an integer is wider than the 64 bits of TOML.
    """
    for line in text.split("\n"):
        if len(line) > LONG_LINE and DOTTED.search(line):
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    try:
        made = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    _require_shallow(made)
    _require_narrow(made)
    return made


def _require_narrow(value: Any) -> None:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        if isinstance(one, int) and not -(2**63) <= one < 2**63:
            raise ValueError("it has an integer of more than 64 bits")
        _require_narrow(one)


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
