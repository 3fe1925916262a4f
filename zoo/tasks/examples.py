"""Example outputs of checks, which are stored and shown beside the metrics.

A task's `measure` calls `keep` for a few of its inputs. Whoever runs the check collects the
examples; otherwise they are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

MOST = 2
"""Examples that a measure keeps of one build, or of a build with an adapter."""


@dataclass(frozen=True)
class Example:
    """An input of a check, with the outputs of the build and of its source.

    Attributes:
        input: the prompt, or the path of an input file.
        output: text by the build.
        expected: text by the source.
        image: PNG file by the build.
        expected_image: PNG file by the source.
    """

    input: str
    output: str = ""
    expected: str = ""
    image: bytes = b""
    expected_image: bytes = b""


_COLLECTED: ContextVar[list[Example] | None] = ContextVar("examples", default=None)


def keep(example: Example) -> None:
    """Store an example, if examples are collected."""
    if (found := _COLLECTED.get()) is not None:
        found.append(example)


def collected() -> bool:
    """Return whether examples are collected, so that making one is worth the time."""
    return _COLLECTED.get() is not None


@contextmanager
def collecting() -> Iterator[list[Example]]:
    """A context that collects the examples stored within it, as a list."""
    found: list[Example] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)
