"""One file from the Hub to this disk: resumed, hashed while it arrives, patient with the network.

A file grows beside its final name and gets that name only once its digests are right. What came of
it survives a cut, a kill and a full disk; the next try hashes it and asks for the rest.
"""

from __future__ import annotations

import os
import random
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from zoo.errors import IntegrityError
from zoo.files.digests import BLOCK, Digest, remember
from zoo.files.safe_folder import SafeFolder
from zoo.hub import client
from zoo.hub.cache import Remote, states, wrong_digest
from zoo.progress import Progress
from zoo.words import human

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each new try, with some more at random so that many do not come at once.

They are counted from the first again whenever a try brought `LEAST_PROGRESS` more bytes than any
before it did: a connection that brings less, or the same bytes again, counts as one that failed.
"""

LEAST_PROGRESS = 1 << 16
JITTER = 0.25

LONGEST_PAUSE = 120.0
"""Seconds that a hub may ask us to wait; whoever asks for more is taken to be down."""

MOST_REDIRECTS = 5
CONNECT_TIMEOUT = 10.0
REPORT_EVERY = 0.05
CHUNK = 1 << 20
TRANSIENT = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)


class Stopped(Exception):
    """Another file of the same pull failed, or the person stopped it."""


class Refused(Exception):
    """The hub answers in a way that may be different the next time.

    `pause` is how many seconds it asks us to wait; `restart` says that what came so far is no use.
    """

    def __init__(self, reason: str, pause: float | None = None, *, restart: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.pause, self.restart = reason, pause, restart


class Unreachable(Exception):
    """The network failed for good; `args[0]` says how."""


@dataclass
class Meter:
    """Bytes of a whole pull, counted from several threads and reported now and then."""

    progress: Progress
    total: int
    done: int = 0
    _told: float = field(default=0.0, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, count: int) -> None:
        """So many more bytes are here; fewer when some were thrown away."""
        with self._lock:
            self.done += count
            now = time.monotonic()
            if now - self._told >= REPORT_EVERY or self.done >= self.total:
                self._told = now
                self.progress.update(self.done, self.total)


@dataclass(frozen=True)
class Transfer:
    """Where the files of one pull come from, and who watches."""

    endpoint: str
    repo: str
    commit: str
    headers: dict[str, str]
    meter: Meter
    stop: threading.Event
    files: SafeFolder

    def url(self, remote: Remote) -> str:
        """The address of a file, on the Hub itself."""
        return f"{self.endpoint}/{self.repo}/resolve/{self.commit}/{quote(remote.path)}"

    def fetch(self, remote: Remote, partial: str, final: str, pinned: str | None) -> None:
        """Have the file at `final`, whose digests are then right.

        Args:
            remote: the file.
            partial: where in `files` it grows; what is there already is resumed.
            final: where it belongs, below the same folder.
            pinned: its SHA-256 as the recipe or the lock knows it.

        Raises:
            IntegrityError: the Hub sends other bytes twice.
            Unreachable: the network failed for longer than we wait.
            Stopped: `stop` was set.
            OSError: the disk is full, or cannot be written.
        """
        strikes = 0
        while True:
            resumed, found = self._complete(remote, partial)
            fault = wrong_digest(remote, found, pinned)
            if fault is None:
                publish(self.files, partial, final)
                remember(self.files.root / final, found["sha256"])
                return
            self.files.remove(partial)
            self.meter.add(-remote.size)
            strikes += not resumed
            if strikes == 2:
                break
            self.meter.progress.note(f"{fault}; fetching it again")
        raise IntegrityError(
            f"'{self.repo}' at revision '{self.commit}' sends other bytes than expected: {fault}",
            "it was not kept; do not use this file unless you know why it changed",
        )

    def _complete(self, remote: Remote, partial: str) -> tuple[bool, dict[str, str]]:
        """Bring the rest of a file; whether there was a beginning, and the digests of it all."""
        with self._partial(partial) as file:
            if os.fstat(file.fileno()).st_size > remote.size:
                os.ftruncate(file.fileno(), 0)
            body = _Body(remote, file, self.meter)
            resumed, furthest, failures = body.have > 0, body.have, 0
            while body.have < remote.size:
                try:
                    self._receive(remote, body)
                    if body.have < remote.size:
                        raise Refused("the connection ended before the file did")
                except Exception as error:
                    pause = _pause(error)
                    if pause is None:
                        raise
                    if isinstance(error, Refused) and error.restart:
                        body.restart()
                    if body.have >= furthest + LEAST_PROGRESS:
                        furthest, failures = body.have, 0
                    failures += 1
                    if failures > len(PAUSES) or pause > LONGEST_PAUSE:
                        raise Unreachable(_reason(error)) from error
                    self._wait(pause or with_jitter(PAUSES[failures - 1]), remote, body, error)
            return resumed, body.digests()

    def _wait(self, seconds: float, remote: Remote, body: _Body, error: Exception) -> None:
        at = f", from {human(body.have)}" if body.have else ""
        self.meter.progress.note(
            f"'{remote.path}': {_reason(error)}; trying again in {seconds:.2g} s{at}"
        )
        if self.stop.wait(seconds):
            raise Stopped

    def _partial(self, path: str) -> BinaryIO:
        """The file that grows.

        A link or a FIFO in its place is removed, not written through; so is a file that has another
        name as well, as what is written would be there too.
        """
        there = self.files.info(path)
        ours = there is not None and stat.S_ISREG(there.st_mode) and there.st_nlink == 1
        if there is not None and not stat.S_ISDIR(there.st_mode) and not ours:
            self.files.remove(path)
        return self.files.open(path, os.O_RDWR | os.O_CREAT)

    def _receive(self, remote: Remote, body: _Body) -> None:
        wanted = {"Range": f"bytes={body.have}-"} if body.have else {}
        with self._open(self.url(remote), wanted) as response:
            _align(response, remote, body)
            for chunk in response.iter_bytes():
                if self.stop.is_set():
                    raise Stopped
                if body.have + len(chunk) > remote.size:
                    raise Refused("it sends more bytes than the file has", restart=True)
                body.write(chunk)

    @contextmanager
    def _open(self, url: str, extra: dict[str, str]) -> Iterator[Any]:
        """A response whose body is still to come; a token goes to the Hub alone."""
        import httpx2

        timeout = httpx2.Timeout(CONNECT_TIMEOUT, read=client.constants().HF_HUB_DOWNLOAD_TIMEOUT)
        for _ in range(MOST_REDIRECTS):
            headers = {**self.headers, "accept-encoding": "identity", **extra}
            if _origin(url) != _origin(self.endpoint):
                headers.pop("authorization", None)
            request = {"headers": headers, "timeout": timeout, "follow_redirects": False}
            with client.session().stream("GET", url, **request) as response:
                if not response.has_redirect_location:
                    _require_good(response)
                    yield response
                    return
                target = _target(url, response.headers["location"])
            if urlsplit(target).scheme not in ("https", urlsplit(url).scheme):
                raise Refused("it redirects to an address that is not encrypted")
            url = target
        raise Refused("it redirects in a loop")


def _target(url: str, location: str) -> str:
    """Where a redirect leads.

    Raises:
        Refused: to no address.
    """
    try:
        target = urljoin(url, location)
        _origin(target)
        if not target.isascii() or not target.isprintable() or " " in target:
            raise ValueError
    except ValueError:
        raise Refused("it redirects to an invalid URL") from None
    return target


class _Body:
    """What is on disk of one file, and the digests of that; it is written where it ends."""

    def __init__(self, remote: Remote, file: BinaryIO, meter: Meter) -> None:
        self.remote, self.file, self.meter = remote, file, meter
        self.states: dict[str, Digest] = states(remote)
        self.have = 0
        file.seek(0)
        while block := file.read(BLOCK):
            self._feed(block)

    def write(self, chunk: bytes) -> None:
        """Add bytes to the file, all of them or an error."""
        rest = memoryview(chunk)
        while rest:
            count = self.file.write(rest)
            self._feed(rest[:count])
            rest = rest[count:]

    def restart(self) -> None:
        """Throw away what is there."""
        self.meter.add(-self.have)
        self.have = 0
        self.file.seek(0)
        self.file.truncate()
        self.states = states(self.remote)

    def digests(self) -> dict[str, str]:
        return {kind: state.hexdigest() for kind, state in self.states.items()}

    def _feed(self, block: bytes | memoryview) -> None:
        for state in self.states.values():
            state.update(block)
        self.have += len(block)
        self.meter.add(len(block))


def _align(response: Any, remote: Remote, body: _Body) -> None:
    """Make the body on disk end where the response begins.

    Raises:
        Refused: the response cannot be the rest of this file.
    """
    length = response.headers.get("content-length")
    encoded = response.headers.get("content-encoding", "identity") != "identity"
    if response.status_code == 206:
        span = response.headers.get("content-range", "")
        if encoded or span != f"bytes {body.have}-{remote.size - 1}/{remote.size}":
            raise Refused(f"it sends another part of the file, '{span}'", restart=True)
        return
    if not encoded and length is not None and length != str(remote.size):
        kind = response.headers.get("content-type", "").partition(";")[0]
        page = ", a web page" if kind == "text/html" else ""
        raise Refused(f"a file arrived with a wrong length, {length} for {remote.size}{page}")
    body.restart()


def _require_good(response: Any) -> None:
    """Let only a file through; say of other answers whether a new try may help.

    Raises:
        Refused: it may.
        HfHubHTTPError: it will not; the Hub's client knows what it means.
    """
    if response.status_code in (200, 206):
        return
    code = response.status_code
    if code in TRANSIENT or code == 416:
        raise Refused(f"it answered {code}", asked_pause(response), restart=code == 416)
    client.raise_for_status(response)
    raise Refused(f"it answered {response.status_code}")


def asked_pause(response: Any) -> float | None:
    """The seconds that a hub asks us to wait, when it says so in seconds."""
    text = "" if response is None else response.headers.get("retry-after", "")
    return float(text[:20]) if text.isascii() and text.isdecimal() else None


def with_jitter(seconds: float) -> float:
    """A pause, somewhat longer at random."""
    return seconds * (1 + random.uniform(0, JITTER))


def _pause(error: Exception) -> float | None:
    """Seconds to wait before the next try, 0 for as long as usual; `None`: no try will help."""
    import httpx2

    if isinstance(error, Refused):
        return error.pause or 0.0
    broken = isinstance(error, httpx2.TransportError | httpx2.DecodingError | httpx2.StreamError)
    return 0.0 if broken else None


def _reason(error: Exception) -> str:
    """What went wrong, without the client's own words: addresses in them may hold a token."""
    if isinstance(error, Refused):
        return error.reason
    return f"the connection failed ({type(error).__name__})"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def publish(files: SafeFolder, partial: str, final: str) -> None:
    """Give a verified file its name; its bytes are on the disk before the name is."""
    with files.open(partial) as file:
        os.fsync(file.fileno())
    files.move(partial, final)
