"""What MkDocs does besides Markdown: links out of `docs/` become text, since the site holds `docs/` alone."""

from __future__ import annotations

import posixpath
import re
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)[^)\s]*\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """`markdown` with each link to a file outside `docs/` as its text and its path in the repository."""

    def plain(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), match[2]))
        if not target.startswith("../"):
            return match[0]
        path = target.removeprefix("../")
        return match[1] if path in match[1] else f"{match[1]} (`{path}`)"

    return LINK.sub(plain, markdown)
