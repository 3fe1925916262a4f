"""Outputs that the checks kept, as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.store.reports import CHECK, Reports


@dataclass(frozen=True)
class Example:
    """An input of a check and what the build made of it.

    Attributes:
        input: the prompt, or the name of a file beside the recipe.
        output, expected: what the build wrote, and what its source wrote.
        image, expected_image: names of files in the report, empty where it has none.
        adapter: the adapter that was in use.
    """

    input: str
    output: str = ""
    expected: str = ""
    image: str = ""
    expected_image: str = ""
    adapter: str = ""


def examples(reports: Reports, key: str) -> tuple[Example, ...]:
    """The examples in the report of a build's check."""
    listed = (reports.read(key, CHECK) or {}).get("examples")
    found = map(_example, listed) if isinstance(listed, list) else ()
    return tuple(example for example in found if example)


def _example(entry: Any) -> Example | None:
    fields = Example.__dataclass_fields__
    if not isinstance(entry, dict) or "input" not in entry:
        return None
    return Example(**{k: v for k, v in entry.items() if k in fields and isinstance(v, str)})
