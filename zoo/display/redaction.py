"""Secrets taken out of text before a person, a log or an issue sees it."""

from __future__ import annotations

import os
import re

HIDDEN = "***"
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "ZOO_KEY_PASSWORD")
SHORTEST = 6
"""Letters of a secret that is looked for by its value; shorter ones would hide half of the text."""

PATTERNS = (
    (re.compile(r"(?<=//)[^/\s'\"@]*@"), f"{HIDDEN}@"),
    (re.compile(r"\b(bearer|basic)\s+[^\s'\",;)\]}]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\bhf_[A-Za-z0-9]{4,}"), HIDDEN),
    (re.compile(r"(\bhttps?://[^\s'\"<>?]+)\?[^\s'\"<>)]*[^\s'\"<>).,;:]"), rf"\1?{HIDDEN}"),
    (
        re.compile(
            r"([?&](?:[\w-]*(?:signature|token|credential|policy|key)[\w-]*)=)[^&\s'\"]+", re.I
        ),
        rf"\1{HIDDEN}",
    ),
)
"""Passwords in addresses, headers of authorization, tokens of the Hub, and signed addresses."""


def redacted(text: str) -> str:
    """`text` without the secrets of this environment and without what has the form of one."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    for pattern, shown in PATTERNS:
        text = pattern.sub(shown, text)
    return text


def _secrets() -> list[str]:
    given = [os.environ.get(name, "").strip() for name in VARIABLES]
    return sorted((s for s in given if len(s) >= SHORTEST), key=len, reverse=True)
