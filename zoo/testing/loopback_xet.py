"""A Xet store on the loopback interface: enough of the protocol for `hf-xet` to fetch files."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

CHUNK = 1 << 16
TOKEN = re.compile(r"/api/models/[^/]+/[^/]+/xet-read-token/[^/]+")
RECONSTRUCTION = re.compile(r"/v1/reconstructions/(?P<hash>[0-9a-f]{64})")
OBJECT = re.compile(r"/xet-object/(?P<hash>[0-9a-f]{64})")

Answer = tuple[bytes, dict[str, str]]


def answer(path: str, url: str, store: str, files: dict[str, Path]) -> Answer | None:
    """What the Hub at `url`, or its store, says to a request; `None` when it is not for them.

    Args:
        path: of the request.
        url: of this Hub.
        store: the address that is given for the store.
        files: the file of each Xet hash.
    """
    if TOKEN.fullmatch(path):
        return b"{}", {
            "X-Xet-Cas-Url": store,
            "X-Xet-Access-Token": "xet_loopback",
            "X-Xet-Token-Expiration": str(int(time.time()) + 3600),
        }
    if (match := RECONSTRUCTION.fullmatch(path)) and match["hash"] in files:
        return json.dumps(_reconstruction(match["hash"], files[match["hash"]], url)).encode(), {}
    if (match := OBJECT.fullmatch(path)) and match["hash"] in files:
        body = _object(files[match["hash"]])
        return body, {"Content-Range": f"bytes 0-{len(body) - 1}/{len(body)}"}
    return None


def _reconstruction(name: str, path: Path, url: str) -> dict[str, Any]:
    chunks = -(-path.stat().st_size // CHUNK)
    span = {"start": 0, "end": chunks}
    last = path.stat().st_size + 8 * chunks - 1
    place = {
        "range": span,
        "url": f"{url}/xet-object/{name}",
        "url_range": {"start": 0, "end": last},
    }
    term = {"hash": name, "unpacked_length": path.stat().st_size, "range": span}
    return {"offset_into_first_range": 0, "terms": [term], "fetch_info": {name: [place]}}


def _object(path: Path) -> bytes:
    data = path.read_bytes()
    chunks = (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
    return b"".join(_chunk_header(len(chunk)) + chunk for chunk in chunks)


def _chunk_header(size: int) -> bytes:
    """Version 0, size as stored, no compression, size."""
    length = size.to_bytes(3, "little")
    return b"\0" + length + b"\0" + length
