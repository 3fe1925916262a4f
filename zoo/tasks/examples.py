"""Examples: outputs that a check came by, kept for people beside its figures.

A task's `measure` calls `keep` for a few of its inputs. Whoever runs the check collects them; when
nobody does, they are dropped.
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
    """An input of a check, and what was made of it.

    Attributes:
        input: the prompt, or the path of an input file.
        output, expected: text, by the build and by its source.
        image, expected_image: PNG files, by the build and by its source.
    """

    input: str
    output: str = ""
    expected: str = ""
    image: bytes = b""
    expected_image: bytes = b""


_COLLECTED: ContextVar[list[Example] | None] = ContextVar("examples", default=None)


def keep(example: Example) -> None:
    """Keep an example, if anybody collects them."""
    if (found := _COLLECTED.get()) is not None:
        found.append(example)


def collected() -> bool:
    """Whether anybody collects examples: one that takes time of its own need not be made else."""
    return _COLLECTED.get() is not None


@contextmanager
def collecting() -> Iterator[list[Example]]:
    """The examples that are kept while the block runs."""
    found: list[Example] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)
