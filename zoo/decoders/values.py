"""Read the values of a config.json, each refused where it is of another type or out of range."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

LARGEST = 2**31 - 1
LARGEST_NUMBER = 1e12


def count(data: Mapping[str, Any], key: str, default: int | None = None, least: int = 1) -> int:
    """A whole number of `least` or more."""
    value = data.get(key, default)
    if type(value) is not int or not least <= value <= LARGEST:
        wanted = "a whole number above 0" if least else "a whole number"
        raise ValueError(f"{key} must be {wanted}, not {short(value)}")
    return value


def share(data: Mapping[str, Any], key: str) -> float:
    """A number above 0 and at most 1."""
    value = data[key]
    if type(value) not in (int, float) or not isfinite(value) or not 0 < value <= 1:
        raise ValueError(f"{key} must be a number above 0 and at most 1, not {short(value)}")
    return float(value)


def number(data: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """A number above 0."""
    value = data.get(key, default)
    if type(value) not in (int, float) or not isfinite(value) or not 0 < value < LARGEST_NUMBER:
        raise ValueError(f"{key} must be a number above 0, not {short(value)}")
    return float(value)


def flag(data: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """True or false."""
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, not {short(value)}")
    return value


def token(data: Mapping[str, Any], key: str) -> Any:
    """The id of a token, several ids of tokens that end a text, or `None`."""
    value = data[key]
    ids = value if isinstance(value, list) and key == "eos_token_id" else [value]
    if value is not None and not all(type(i) is int and -1 <= i <= LARGEST for i in ids):
        raise ValueError(f"{key} must be a token id, not {short(value)}")
    return value


def short(value: object) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
