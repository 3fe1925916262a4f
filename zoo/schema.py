"""Strict reading of TOML into frozen dataclasses, and the JSON Schema of the same classes.

The classes are the only description: a field's type says what is allowed, its default whether it
may be left out, and its metadata the rest: `doc`; `pattern` with `expected` in words; `minimum`,
`maximum` and `above`, a minimum that is itself too small; `single` for a tuple that may be given as
one value; and `rest` for a field that takes all keys not named by others. Reading never stops at
the first fault.
"""

from __future__ import annotations

import math
import numbers
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeGuard

from zoo.words import suggest

_HINTS: dict[type[Any], dict[str, Any]] = {}
_BASIC = {str: "string", int: "integer", float: "number", bool: "boolean"}
_NUMBERS: dict[Any, Any] = {int: numbers.Integral, float: numbers.Real}
_RANGES = {"minimum": "minimum", "maximum": "maximum", "above": "exclusiveMinimum"}
_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


@dataclass
class Problems:
    """The faults found so far, each as `key.path: what is wrong`."""

    found: list[str] = field(default_factory=list)
    _pairs: list[tuple[str, str]] = field(default_factory=list, repr=False)

    def add(self, path: str, message: str) -> None:
        self.found.append(f"{path}: {message}" if path else message)
        self._pairs.append((path, message))

    def pairs(self) -> list[tuple[str, str]]:
        """The faults found so far, each as its key path and what is wrong."""
        return list(self._pairs)


def read(cls: type[Any], data: object, problems: Problems, path: str = "") -> Any:
    """Build `cls` from `data`, adding to `problems`; `None` where that is impossible."""
    if not _is_readable(data, problems, path):
        return None
    before = len(problems.found)
    hints = hints_of(cls)
    named = {f.name: f for f in fields(cls) if _readable(f)}
    rest = next((f.name for f in named.values() if f.metadata.get("rest")), None)
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in data.items():
        where = f"{path}.{key}" if path else key
        if key in named and key != rest:
            values[key] = read_value(hints[key], named[key], value, problems, where)
        elif rest:
            extra[key] = value
        else:
            problems.add(where, "unknown key" + suggest(key, named))
    if rest:
        values[rest] = extra
    for name, spec in named.items():
        if name not in values and _required(spec):
            problems.add(f"{path}.{name}" if path else name, "is missing")
    if len(problems.found) > before:
        return None
    made = cls(**values)
    validate: Callable[[], typing.Iterable[tuple[str, str]]] | None = getattr(
        made, "validate", None
    )
    for key, message in validate() if validate else ():
        problems.add(f"{path}.{key}" if path else key, message)
    return made


def _is_readable(data: object, problems: Problems, path: str) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is a table, and no document of another schema, whose keys mean something else."""
    if not isinstance(data, Mapping):
        problems.add(path, f"must be a table, not {_shown(data)}")
        return False
    version = data.get("schema", 1)
    if not path and version != 1 and isinstance(version, int):
        problems.add("schema", f"this version of zoo reads schema 1, not {version}")
        return False
    return True


def json_schema(cls: type[Any], title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `cls`, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **_table_schema(cls),
    }


def hints_of(cls: type[Any]) -> dict[str, Any]:
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def _readable(spec: Field[Any]) -> bool:
    return not spec.metadata.get("internal", False)


def _required(spec: Field[Any]) -> bool:
    return spec.default is MISSING and spec.default_factory is MISSING


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _optional(hint: Any) -> Any:
    """`X | None` as `X`."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next(a for a in typing.get_args(hint) if a is not type(None))
    return hint


def read_value(hint: Any, spec: Field[Any], value: Any, problems: Problems, path: str) -> Any:
    """A field's value as its type has it, adding to `problems` where it is not that."""
    if value is None and type(None) in typing.get_args(hint):
        return None
    hint = _optional(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint):
        return read(typing.cast(type[Any], hint), value, problems, path)
    if origin is Literal:
        if not isinstance(value, str | int) or value not in args:
            options = ", ".join(map(repr, args))
            close = suggest(value, args) if isinstance(value, str) else ""
            problems.add(path, f"must be one of {options}, not {_shown(value)}{close}")
        return value
    if origin is tuple:
        return _tuple(args[0], spec, value, problems, path)
    if origin is dict:
        if not isinstance(value, Mapping):
            problems.add(path, f"must be a table, not {_shown(value)}")
            return {}
        return {k: read_value(args[1], spec, v, problems, f"{path}.{k}") for k, v in value.items()}
    if hint is Any:
        return value
    return _basic(hint, spec, value, problems, path)


def _tuple(hint: Any, spec: Field[Any], value: Any, problems: Problems, path: str) -> Any:
    if spec.metadata.get("single") and isinstance(value, str | numbers.Real):
        return (read_value(hint, spec, value, problems, path),)
    if not isinstance(value, list | tuple):
        one = f"{_NAMES[hint]} or " if spec.metadata.get("single") else ""
        problems.add(path, f"must be {one}a list, not {_shown(value)}")
        return ()
    return tuple(read_value(hint, spec, v, problems, f"{path}[{i}]") for i, v in enumerate(value))


def _basic(hint: Any, spec: Field[Any], value: Any, problems: Problems, path: str) -> Any:
    if hint in _NUMBERS and isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool):
        value = _number(hint, value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        problems.add(path, f"must be {_NAMES[hint]}, not {_shown(value)}")
        return value
    pattern = spec.metadata.get("pattern")
    if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
        what = spec.metadata.get("expected", f"match {pattern}")
        problems.add(path, f"must be {what}, not {_shown(value)}")
    if isinstance(value, int | float) and not _in_range(spec, value):
        problems.add(path, f"must be {_range(spec)}, not {_shown(value)}")
    return value


def _number(hint: type[Any], value: Any) -> Any:
    """A number of any library as Python's own; as it is where that has none."""
    try:
        return hint(value)
    except (OverflowError, ValueError):
        return math.inf


def _in_range(spec: Field[Any], value: float) -> bool:
    low, high, above = (spec.metadata.get(key) for key in ("minimum", "maximum", "above"))
    return (
        (isinstance(value, int) or math.isfinite(value))
        and (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
    )


def _range(spec: Field[Any]) -> str:
    low, high, above = (spec.metadata.get(key) for key in ("minimum", "maximum", "above"))
    if low is not None and high is not None:
        return f"from {low} to {high}"
    if above is not None:
        return f"above {above}" + (f" and at most {high}" if high is not None else "")
    if high is not None:
        return f"at most {high}"
    return "a finite number" if low is None else f"at least {low}"


def _table_schema(cls: type[Any]) -> dict[str, Any]:
    hints = hints_of(cls)
    named = [f for f in fields(cls) if _readable(f)]
    open_ended = any(f.metadata.get("rest") for f in named)
    closed = [f for f in named if not f.metadata.get("rest")]
    return {
        "type": "object",
        "description": (cls.__doc__ or "").split("\n")[0],
        "properties": {f.name: _field_schema(hints[f.name], f) for f in closed},
        "required": [f.name for f in closed if _required(f)],
        "additionalProperties": open_ended,
    }


def _field_schema(hint: Any, spec: Field[Any]) -> dict[str, Any]:
    schema = _type_schema(_optional(hint), spec)
    if "doc" in spec.metadata:
        schema["description"] = spec.metadata["doc"]
    return schema


def _type_schema(hint: Any, spec: Field[Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint):
        return _table_schema(typing.cast(type[Any], hint))
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": _type_schema(args[0], spec)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type_schema(args[1], spec)}
    if hint is Any:
        return {}
    schema: dict[str, Any] = {"type": _BASIC[hint]}
    if hint is str and "pattern" in spec.metadata:
        schema["pattern"] = f"^(?:{spec.metadata['pattern']})$"
    for key, keyword in _RANGES.items():
        if hint in _NUMBERS and key in spec.metadata:
            schema[keyword] = spec.metadata[key]
    return schema
