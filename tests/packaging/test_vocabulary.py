"""Documents, help, messages and docstrings say things in the terms of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BANNED = {
    r"anew": "again",
    r"heard": "transcribed",
    r"harms?": "error, loss, divergence",
    r"is told|are told|was told|be told": "receives, reports",
    r"mend(s|ed|ing)?": "fix",
    r"(kept|set) aside": "quarantined",
    r"yardsticks?": "scorer",
    r"(go|goes|going) on from": "continue, start from",
    r"strays?|strayed": "diverge, differ",
    r"rotted": "corrupted",
    r"one's own": "your own",
    r"whoever made": "the author",
    r"positions scaled": "RoPE scaling",
    r"half-made": "partial, incomplete",
    r"goes on at|going on by|going on with": "continue, fall back to",
    r"drawn": "generated",
    r"(is|was) drawn": "is generated",
    r"licences?": "license",
    r"colours?": "color",
    r"favour(s|ed|ing)?": "favor",
    r"behaviours?": "behavior",
}
"""Private words, and what to write in their place; CONTRIBUTING.md explains them to people."""
PATTERN = re.compile(rf"\b({'|'.join(BANNED)})\b", re.IGNORECASE)
STORIES = ("stories.py", "plots.py", "words.py", "pirates.py")
"""Text that models are trained on, which is no text of ours."""


def documents() -> list[Path]:
    found = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]
    for folder in ("docs", "benchmarks", "training"):
        found += sorted((ROOT / folder).rglob("*.md"))
    return found


def sources() -> list[Path]:
    folders = ("zoo", "plugins", "benchmarks", "training", "scripts")
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return [path for path in paths if path.name not in STORIES]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The docstrings and messages of a module, by line; not single words, which are names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", documents(), ids=lambda p: p.name)
def test_documents_use_the_terms_of_the_field(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        plain = re.sub(r"`[^`]*`", "", line)
        if match := PATTERN.search(plain):
            pytest.fail(f"{path.name}:{number} says '{match[0]}': {line.strip()[:120]}")


def test_messages_and_docstrings_use_the_terms_of_the_field():
    found = [
        f"{path.relative_to(ROOT)}:{line} says '{match[0]}': {' '.join(text.split())[:90]}"
        for path in sources()
        for line, text in texts(path)
        if (match := PATTERN.search(re.sub(r"`[^`]*`", "", text)))
    ]
    assert not found, "\n".join(found)
