"""What names look like: of models, variants and builds, of repositories, and in references."""

from __future__ import annotations

import re

USER = "user"
"""The catalog of the user's own."""

NAME = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
REPO = rf"(?![A-Za-z0-9_./-]*(?:--|\.\.)){_PART}/{_PART}"
"""As the Hub has them; with `--` in it, two of them would share a folder of its cache."""

REFERENCE = re.compile(
    rf"(?:(?P<catalog>{NAME})/)?(?P<name>{NAME})(?::(?P<variant>{NAME})(?:/(?P<build>{NAME}))?)?"
)
ALIAS = re.compile(rf"{NAME}(?::{NAME})?")
"""`name` or `name:variant`."""
