"""What was measured of a build, beside the build: outputs of its check, its cost.

    ZOO_HOME/reports/<key>/NAME.json, and the files that it names

A report is for people. Nothing depends on it: one that cannot be written or read is no report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files.documents import parse_json
from zoo.files.safe_folder import SafeFolder

LARGEST = 1 << 24
"""Bytes of one file of a report."""

CHECK, COST = "check", "cost"
"""The reports that there are."""


class Reports:
    """The reports of the builds below one folder."""

    def __init__(self, home: Path) -> None:
        self._folder = SafeFolder(home / "reports")

    def write(
        self,
        key: str,
        name: str,
        document: dict[str, Any],
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Replace a report of a build, if that can be done.

        Args:
            key: the key of the build.
            name: `CHECK` or `COST`.
            document: what it says, for JSON.
            files: file names to their bytes.
        """
        with suppress(OSError, IntegrityError):
            for path, data in (files or {}).items():
                self._folder.replace(f"{key}/{path}", data)
            self._folder.replace(f"{key}/{name}.json", json.dumps(document).encode())

    def read(self, key: str, name: str) -> dict[str, Any] | None:
        """A report of a build; `None` if it is missing or cannot be read."""
        data = self.file(key, f"{name}.json")
        if data is None:
            return None
        try:
            found = parse_json(data)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def file(self, key: str, path: str) -> bytes | None:
        """A file of a report; `None` if it is missing or cannot be read."""
        try:
            return self._folder.read(f"{key}/{path}", LARGEST)
        except (OSError, IntegrityError, ValueError):
            return None

    def remove(self, key: str) -> None:
        """Remove all reports of a build."""
        with suppress(OSError, IntegrityError):
            self._folder.remove(key)
