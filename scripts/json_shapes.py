"""The words that the JSON Schema of zoo's documents is written in."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
YES_NO: Schema = {"type": "boolean"}


def some(**properties: Schema) -> Schema:
    """An object, all of whose keys are required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def more(schema: Schema, **properties: Schema) -> Schema:
    """The same object with further keys, which are optional."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def by_name(item: Schema) -> Schema:
    return {"type": "object", "additionalProperties": item}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def one_of(*words: str) -> Schema:
    return {"enum": list(words)}
