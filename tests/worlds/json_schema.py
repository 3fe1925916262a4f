"""The schema of the command line's JSON documents, read strictly: no key may be missing from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "docs" / "cli.schema.json"


def documents() -> dict[str, Any]:
    """The document of each command."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["$defs"]
    return found


def require_document(command: str, document: Any) -> None:
    """Fail unless `document` is what the schema says `command` prints, and nothing else."""
    from jsonschema import Draft202012Validator  # whose import takes seconds

    schema = _closed(documents()[command])
    Draft202012Validator.check_schema(schema)
    faults = sorted(Draft202012Validator(schema).iter_errors(document), key=str)
    assert not faults, f"{command}: {faults[0].json_path}: {faults[0].message[:300]}"


def _closed(schema: Any) -> Any:
    """The schema with no other keys in any object that names its keys."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed["additionalProperties"] = False
    return closed
