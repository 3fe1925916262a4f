"""What a repository holds, found without fetching its weights: names, sizes, small files, headers.

A safetensors file begins with the length of its header and the header itself
(https://huggingface.co/docs/safetensors/metadata_parsing): two short ranges tell its tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from zoo.catalogs.source import File, Source
from zoo.errors import IntegrityError
from zoo.files.documents import parse_json
from zoo.files.safe_folder import read_regular
from zoo.files.safetensors import LARGEST_HEADER, Header, parse_header, read_header
from zoo.files.trust import confined
from zoo.hub.repository import Repository
from zoo.progress import Progress

FIRST = 1 << 16
"""Bytes that are asked for at first; most headers are shorter."""


class RemoteFiles:
    """The files of a repository at one commit.

    Attributes:
        sizes: path to bytes of every file with a plain name.

    Raises:
        NotFound, Gated, Offline: why the repository cannot be looked at.
    """

    def __init__(self, source: Source, progress: Progress) -> None:
        self._progress = progress
        self._repository = Repository(source, progress)
        self._commit, self._listing = self._repository.listed()
        self._source = replace(source, revision=self._commit, branch=None)
        self.sizes = {p: remote.size for p, remote in self._listing.items() if confined(p)}

    def pinned(self, names: Iterable[str]) -> Source:
        """The source at its commit, with these files, their sizes, and large ones' digests."""
        listed = (self._listing[name] for name in names)
        files = (
            File(each.path, each.size, each.digest if each.kind == "sha256" else None)
            for each in listed
        )
        return replace(self._source, files=tuple(files))

    def read(self, name: str) -> bytes:
        """The content of a small file, which is kept in the Hub's cache."""
        wanted = replace(self._source, files=(File(name),))
        return read_regular(Repository(wanted, self._progress).pull() / name, LARGEST_HEADER)

    def read_json(self, name: str) -> dict[str, Any]:
        """The JSON object in a small file; an empty one for anything else."""
        try:
            found = parse_json(self.read(name))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def header(self, name: str) -> Header:
        """The header of a safetensors file.

        Raises:
            IntegrityError: it breaks the format.
        """
        path = self._repository.cache.snapshot(self._commit) / name
        if path.is_file():
            return read_header(path)
        size = self.sizes[name]
        start = self._repository.part(self._commit, name, 0, min(FIRST, size))
        try:
            (length,) = struct.unpack("<Q", start[:8])
            if length > min(size - 8, LARGEST_HEADER):
                raise ValueError(f"its header claims {length} bytes")
            if len(start) < length + 8:
                start += self._repository.part(self._commit, name, len(start), length + 8)
            return parse_header(start[8 : length + 8], size)
        except (ValueError, struct.error) as error:
            raise IntegrityError(
                f"'{name}' of {self._repository} is not a valid safetensors file: {error}"
            ) from error
