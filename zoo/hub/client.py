"""The Hub's own client as we use it: its settings, its session, its errors.

What the environment gives it may be wrong in ways that it meets with raw exceptions: a proxy of an
unknown kind, a timeout that is no number, a token that cannot be sent.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zoo.display.redaction import redacted
from zoo.errors import UsageError
from zoo.hub.patience import limit

LONGEST_TIMEOUT = 86_400
LARGEST_ERROR = 1 << 16
LONGEST_ERROR = 5.0
"""Bytes and seconds that the text of an error may take; the rest is not read."""


def constants() -> Any:
    """The settings of the Hub's client.

    Raises:
        UsageError: a variable of the environment has a value that it cannot use.
    """
    try:
        from huggingface_hub import constants as found
    except ValueError as error:
        names = [n for n in os.environ if n.startswith("HF_") and repr(os.environ[n]) in str(error)]
        which = f"the environment variable {names[0]}" if names else "an environment variable"
        raise UsageError(
            f"{which} has a value that the Hub's client cannot use: {error}", "correct or unset it"
        ) from error
    if not 0 < found.HF_HUB_DOWNLOAD_TIMEOUT <= LONGEST_TIMEOUT:
        raise UsageError(
            f"HF_HUB_DOWNLOAD_TIMEOUT is {found.HF_HUB_DOWNLOAD_TIMEOUT}, and must be a number of "
            f"seconds from 1 to {LONGEST_TIMEOUT}",
            "correct or unset it",
        )
    return found


def cache_folder() -> Path:
    """Where the Hub's files are kept.

    Raises:
        UsageError: what the environment says is no folder.
    """
    given = constants().HF_HUB_CACHE
    try:
        folder = Path(given).expanduser().resolve()
        if folder.exists() and not folder.is_dir():
            raise ValueError("it is not a folder")
    except (RuntimeError, OSError, ValueError) as error:
        raise UsageError(
            f"the Hub cache folder {str(given)!r} cannot be used: {error}",
            "see HF_HOME and HF_HUB_CACHE",
        ) from error
    return folder


def session() -> Any:
    """The session that requests go through.

    Raises:
        UsageError: the proxy that the environment names cannot be used.
    """
    from huggingface_hub.utils import get_session

    try:
        found = get_session()
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"the proxy that the environment names cannot be used: {redacted(str(error))}",
            "see HTTP_PROXY, HTTPS_PROXY and ALL_PROXY; a SOCKS proxy needs: pip install socksio",
        ) from error
    if limit not in (hooks := found.event_hooks["request"]):
        hooks.append(limit)
    return found


def endpoint() -> str:
    """The address of the Hub.

    Raises:
        UsageError: `HF_ENDPOINT` is no address.
    """
    address = str(constants().ENDPOINT)
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not address.isascii() or not address.isprintable() or " " in address:
        raise UsageError(
            f"HF_ENDPOINT is {redacted(repr(address))}, which is not the address of a Hub",
            "write it as https://host or http://host:port, or unset it",
        )
    return address.rstrip("/")


def headers() -> dict[str, str]:
    """What goes with every request: the token among it, which may have to be renewed first.

    Raises:
        UsageError: the token cannot be read, or cannot be sent.
    """
    from huggingface_hub.utils import build_hf_headers

    try:
        made: dict[str, str] = build_hf_headers(library_name="zoo")
        for value in made.values():
            value.encode("ascii")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the token for the Hub cannot be used ({type(error).__name__})",
            "see HF_TOKEN and the file that HF_TOKEN_PATH names, or log in with `hf auth login`",
        ) from error
    return made


def raise_for_status(response: Any) -> None:
    """Raise what the Hub's client means by the status of a response, reading little of its text.

    Raises:
        HfHubHTTPError: or one of its kinds, when the status is an error.
    """
    import httpx2
    from huggingface_hub.utils import hf_raise_for_status

    if response.status_code < 400:
        return
    text, deadline = bytearray(), time.monotonic() + LONGEST_ERROR
    try:
        for chunk in response.iter_bytes():
            text += chunk[: LARGEST_ERROR - len(text)]
            if len(text) >= LARGEST_ERROR or time.monotonic() > deadline:
                break
    except httpx2.HTTPError:
        text.clear()
    kept = [(k, v) for k, v in response.headers.raw if k.lower() not in ABOUT_BODY]
    said = httpx2.Response(
        response.status_code, headers=kept, content=bytes(text), request=response.request
    )
    said.history = response.history
    hf_raise_for_status(said)


ABOUT_BODY = (b"content-length", b"content-encoding", b"transfer-encoding")
