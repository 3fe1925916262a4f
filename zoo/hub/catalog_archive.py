"""A catalog by its address: an archive of TOML files, checked before anything in it is read."""

from __future__ import annotations

import hashlib
import os
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zoo.display.redaction import redacted
from zoo.errors import Inaccessible, IntegrityError, NotFound, Offline, UsageError, said
from zoo.files.archive_address import ENDINGS
from zoo.files.archives import UNREADABLE

LARGEST = 64 << 20
"""Bytes of a catalog, packed and unpacked: recipes are text, and check inputs are short."""

SECONDS = 30.0
"""Seconds to wait for a connection and for each part of the answer."""

LEAST = 1 << 16
"""Bytes that must come in `SECONDS`; a server that sends less keeps us waiting on purpose."""


def download(url: str, into: Path, sha256: str | None) -> tuple[Path, str]:
    """Fetch the archive at an address into a folder; its path and its SHA-256.

    No token is sent. An address without TLS is taken with a digest only.

    Raises:
        UsageError: the address is not supported.
        NotFound, Offline, Inaccessible: it cannot be had.
        IntegrityError: it is too large, is no archive, or has another digest.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{redacted(url)} is not an address: {error}") from error
    ending = next((e for e in ENDINGS if parts.path.lower().endswith(e)), None)
    if ending is None:
        raise UsageError(
            f"{redacted(url)} is not the address of an archive",
            f"archives end in {', '.join(ENDINGS)}",
        )
    if parts.scheme != "https" and sha256 is None:
        raise UsageError(
            f"{redacted(url)} can be changed on the way: it is not https",
            "give the SHA-256 that it must have: --sha256 DIGEST",
        )
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise Offline(f"{redacted(url)} is not fetched: HF_HUB_OFFLINE is set")
    path = into / f"archive{ending}"
    digest = _fetch(url, path, encrypted=sha256 is None)
    if sha256 is not None and digest != sha256.lower():
        raise IntegrityError(
            f"{redacted(url)} has the SHA-256 {digest}, not {sha256.lower()}",
            "it changed, or is another file; it was not used",
        )
    _require_archive(path, url)
    return path, digest


def _fetch(url: str, path: Path, *, encrypted: bool) -> str:
    import httpx2

    from zoo.hub.client import session

    state = hashlib.sha256()
    try:
        with (
            session().stream("GET", url, follow_redirects=True, timeout=SECONDS) as response,
            path.open("wb") as file,
        ):
            _require_ok(response, url)
            if encrypted and any(r.url.scheme != "https" for r in (*response.history, response)):
                raise IntegrityError(
                    f"{redacted(url)} redirects to an address that is not https",
                    "give the SHA-256 that it must have: --sha256 DIGEST",
                )
            for chunk in bounded(response.iter_bytes(), url):
                state.update(chunk)
                file.write(chunk)
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ValueError) as error:
        raise Offline(f"{redacted(url)} cannot be reached: {redacted(said(error))}") from error
    return state.hexdigest()


def bounded(chunks: Iterable[bytes], url: str) -> Iterator[bytes]:
    """The chunks of an answer, as long as they are not too many and not too slow.

    Raises:
        IntegrityError: they are more than a catalog has.
        Offline: fewer than `LEAST` bytes came in `SECONDS`.
    """
    count, before, since = 0, 0, time.monotonic()
    for chunk in chunks:
        count += len(chunk)
        if count > LARGEST:
            raise IntegrityError(
                f"{redacted(url)} is larger than {LARGEST >> 20} MB, the limit for a catalog",
                "it was not used",
            )
        if time.monotonic() - since > SECONDS:
            if count - before < LEAST:
                raise Offline(f"{redacted(url)} sends too slowly to be waited for")
            before, since = count, time.monotonic()
        yield chunk


def _require_ok(response: Any, url: str) -> None:
    if response.status_code in (404, 410):
        raise NotFound(f"there is nothing at {redacted(url)}")
    if response.status_code >= 400:
        raise Inaccessible(f"{redacted(url)} answers with the status {response.status_code}")


def _require_archive(path: Path, url: str) -> None:
    """Refuse what is no archive, or unpacks to more than a catalog has."""
    with path.open("rb") as file:
        begin = file.read(512).lstrip().lower()
    if begin.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise IntegrityError(
            f"{redacted(url)} is a web page, not an archive", "give the address of the file itself"
        )
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as zipped:
                sizes = [info.file_size for info in zipped.infolist()]
        else:
            sizes = []
            with tarfile.open(path) as tar:
                for member in tar:
                    sizes.append(member.size)
                    if sum(sizes) > LARGEST:
                        break
    except (*UNREADABLE, OSError) as error:
        raise IntegrityError(f"{redacted(url)} is not an archive: {said(error)}") from error
    if sum(sizes) > LARGEST:
        raise IntegrityError(
            f"{redacted(url)} unpacks to more than {LARGEST >> 20} MB, the limit for a catalog"
        )
