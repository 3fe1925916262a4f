"""A Hugging Face Hub on the loopback interface, for the real client, with faults on demand.

    with LoopbackHub(root) as hub:
        hub.faults.append(Fault("GET .*model.safetensors", cut_after=1000, reset=True))
        # HF_ENDPOINT=hub.url

Repositories are folders: `root/owner/name/branch/files`. They may change while the Hub runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from zoo.files.digests import git_sha1, sha256
from zoo.testing import loopback_xet

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
LFS_SIZE = 10_000_000
BLOCK = 1 << 16
REPO = r"(?P<repo>[^/]+/[^/]+)"
API_ROUTE = re.compile(rf"/api/models/{REPO}(?:/(?P<kind>revision|tree)/(?P<revision>[^/]+))?")
FILE_ROUTE = re.compile(rf"(?P<cdn>/cdn)?/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Fault:
    """A fault that a `LoopbackHub` injects into matching requests.

    Attributes:
        match: regular expression, searched in `METHOD /path`.
        times: number of requests that it affects.
        status: HTTP status to answer instead of the file.
        retry_after: value of the header `Retry-After`, in seconds, with `status`.
        page: body to answer instead of the file, such as a login page.
        cut_after: close the connection after this number of bytes of the body.
        reset: close it with a TCP reset, with `cut_after`.
        flip_at: offset of a byte of the file to invert.
        stall: seconds to wait before the body.
        rate: bytes per second to send.
        location: address to redirect to.
        unsized: send status and page in chunks, without a content length.
        endless: repeat the page without end.
        ranged: affect only requests that resume a download.
    """

    match: str
    times: int = 1
    status: int | None = None
    retry_after: int | None = None
    page: bytes | None = None
    cut_after: int | None = None
    reset: bool = False
    flip_at: int | None = None
    stall: float = 0
    rate: float | None = None
    location: str | None = None
    unsized: bool = False
    endless: bool = False
    ranged: bool = False


@dataclass(frozen=True)
class Request:
    """A request that a `LoopbackHub` received.

    Attributes:
        method: HTTP method.
        path: path with the query.
        range: value of the header `Range`, if any.
        authorized: whether it carried the token.
    """

    method: str
    path: str
    range: str | None
    authorized: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class LoopbackHub(ThreadingHTTPServer):
    """A Hugging Face Hub on the loopback interface, for tests with the real client.

    It serves while its context is open. Repositories are folders, `root/owner/name/branch`, which
    may change while it runs. Set `HF_ENDPOINT` to its `url`.

    Args:
        root: the folder with the repositories.
        gated: repositories whose files require `token`.
        token: the only valid token.
        redirects: whether large files are redirected to another address, as the real Hub does:
            another path, or `cdn`, if set to the address of another Hub.
        ranges: whether downloads can be resumed.
        xet: whether large files are also served by the Xet protocol.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        root: Path,
        *,
        gated: Iterable[str] = (),
        token: str = "hf_loopback",
        redirects: bool = True,
        ranges: bool = True,
        xet: bool = False,
    ) -> None:
        self.xet = xet
        self.xet_store: str | None = None  # another address for the store, such as a dead one
        self.root, self.gated, self.token = root, set(gated), token
        self.redirects, self.ranges = redirects, ranges
        self.cdn: str | None = None
        self.extra_entries: list[
            dict[str, Any]
        ] = []  # lies in the list of every repository's files
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self._aliases: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._connections: set[Any] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The address of the Hub, for `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repo: str, branch: str = "main") -> str:
        """Return the commit of a branch: a hash of its files, or its alias."""
        if (repo, branch) in self._aliases:
            return self._aliases[repo, branch]
        folder = self.root / repo / branch
        lines = (
            f"{path.relative_to(folder).as_posix()} {_digests(path)[0]}\n"
            for path in _files(folder)
        )
        return hashlib.sha1("".join(lines).encode(), usedforsecurity=False).hexdigest()

    def alias_commit(self, repo: str, sha: str, branch: str = "main") -> None:
        """Set the commit of a branch, such as one that a recipe pins.

        Args:
            repo: the repository, as `owner/name`.
            sha: the commit, 40 hexadecimal digits.
            branch: the branch.
        """
        self._aliases[repo, branch] = sha

    def seen(self, pattern: str) -> list[Request]:
        """Return the requests so far that match.

        Args:
            pattern: regular expression, searched in `METHOD /path`.
        """
        return [request for request in self.requests if re.search(pattern, str(request))]

    def find(self, repo: str, revision: str) -> tuple[Path, str] | None:
        """Return the folder and the commit of a branch or commit, or `None`."""
        branches = ((p, self.commit(repo, p.name)) for p in sorted((self.root / repo).iterdir()))
        return next((b for b in branches if revision in (b[0].name, b[1])), None)

    def xet_files(self) -> dict[str, Path]:
        """Return the large files by their Xet hash, for which the SHA-256 is used."""
        large = (path for path in _files(self.root) if _is_lfs(path))
        return {_digests(path)[0]: path for path in large} if self.xet else {}

    def note(self, request: Request) -> Fault | None:
        """Record a request, and return the fault to inject into it, if any."""
        with self._lock:
            self.requests.append(request)
            live = (
                fault
                for fault in self.faults
                if fault.times and re.search(fault.match, str(request))
                if request.range is not None or not fault.ranged
            )
            if fault := next(live, None):
                fault.times -= 1
            return fault

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            # Handlers of connections that are kept alive would go on answering.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection, which tests do on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackHub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization")
        request = Request(self.command, path, self.headers.get("Range"), token is not None)
        fault = self.server.note(request)
        if fault and self._spoil(fault):
            return
        if (said := self._by_xet(path, fault)) is not None:
            self._answer(206 if "Content-Range" in said[1] else 200, *said)
        elif (route := API_ROUTE.fullmatch(path) or FILE_ROUTE.fullmatch(path)) is None:
            self._refuse(404, "", "no such page")
        elif (found := self._admit(route["repo"], route["revision"] or "main", token)) is not None:
            folder, commit = found
            if route.re is API_ROUTE:
                self._describe(route["repo"], folder, commit, tree=route["kind"] == "tree")
            elif route["repo"] in self.server.gated and token is None:
                self._refuse(401, "GatedRepo", f"Access to model {route['repo']} is restricted.")
            elif not (file := folder / route["path"]).is_file():
                self._refuse(404, "EntryNotFound", "Entry not found")
            else:
                self._serve(file, commit, bool(route["cdn"]), fault)

    do_HEAD = do_GET  # noqa: N815

    def _spoil(self, fault: Fault) -> bool:
        """Answer something else in the place of what was asked for; whether the fault is so."""
        if fault.location is not None:
            self._answer(302, b"", {"Location": fault.location})
        elif fault.unsized or fault.endless:
            self._drip(fault)
        elif fault.status or fault.page is not None:
            headers = {"Content-Type": "text/html"}
            if fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
            self._answer(fault.status or 200, fault.page or b"", headers)
        else:
            return False
        return True

    def _drip(self, fault: Fault) -> None:
        """A page in chunks, without a length, and without an end if that is wanted."""
        self.send_response(fault.status or 200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        page = fault.page or b""
        chunk = b"%x\r\n%b\r\n" % (len(page), page) if page else b""
        self.wfile.write(chunk)
        while fault.endless:
            self.wfile.write(chunk)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """The log is `LoopbackHub.requests`."""

    def _admit(self, repo: str, revision: str, token: str | None) -> tuple[Path, str] | None:
        """The folder and commit asked for; what there is not is refused as the Hub does it."""
        if token and token != f"Bearer {self.server.token}":
            self._refuse(401, "", "Invalid credentials in Authorization header")
        elif not (self.server.root / repo).is_dir():
            self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        elif (found := self.server.find(repo, revision)) is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return found
        return None

    def _by_xet(self, path: str, fault: Fault | None) -> loopback_xet.Answer | None:
        hub = self.server
        said = loopback_xet.answer(path, hub.url, hub.xet_store or hub.url, hub.xet_files())
        if said and fault and fault.flip_at is not None:
            body = bytearray(said[0])
            body[fault.flip_at] ^= 0xFF
            return bytes(body), said[1]
        return said

    def _describe(self, repo: str, folder: Path, commit: str, tree: bool) -> None:
        entries = [_entry(folder, path, self.server.xet) for path in _files(folder)]
        entries += self.server.extra_entries
        siblings = [{"rfilename": e["path"], "size": e["size"]} for e in entries]
        gated = "manual" if repo in self.server.gated else False
        info = {"id": repo, "sha": commit, "private": False, "gated": gated, "siblings": siblings}
        body = json.dumps(entries if tree else info).encode()
        self._answer(200, body, {"Content-Type": "application/json"})

    def _serve(self, path: Path, commit: str, cdn: bool, fault: Fault | None) -> None:
        size, large = path.stat().st_size, _is_lfs(path)
        etag = _digests(path)[0 if large else 1]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit}
        if large:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(size)}
        if large and self.server.redirects and not cdn:
            self._answer(
                302,
                b"",
                headers | {"Location": f"{self.server.cdn or self.server.url}/cdn{self.path}"},
            )
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start, end, status = 0, size, 200
        if wanted and self.server.ranges:
            start, end, status = int(wanted[1]), min(size, int(wanted[2] or size - 1) + 1), 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._head(status, end - start, headers)
        if self.command == "GET":
            self._send(path, start, end, fault or Fault(""))

    def _send(self, path: Path, start: int, end: int, fault: Fault) -> None:
        time.sleep(fault.stall)
        cut_after = 0 if fault.reset and fault.cut_after is None else fault.cut_after
        for offset, block in _blocks(path, start, end):
            if fault.flip_at is not None and 0 <= fault.flip_at - offset < len(block):
                block[fault.flip_at - offset] ^= 0xFF
            if cut_after is not None and cut_after <= offset - start + len(block):
                self.wfile.write(block[: cut_after - (offset - start)])
                self._hang_up(fault.reset)
                return
            self.wfile.write(block)
            if fault.rate:
                time.sleep(len(block) / fault.rate)

    def _hang_up(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            time.sleep(0.1)  # A reset throws away what the client has not read yet.
            no_linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self._answer(status, body, {"X-Error-Code": code, "X-Error-Message": message})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self._head(status, len(body), headers)
        if self.command == "GET":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _is_lfs(path: Path) -> bool:
    return path.suffix in LFS_SUFFIXES or path.stat().st_size > LFS_SIZE


def _entry(folder: Path, path: Path, xet: bool) -> dict[str, Any]:
    (large, small), size = _digests(path), path.stat().st_size
    name = path.relative_to(folder).as_posix()
    pointer: dict[str, Any] = {}
    if _is_lfs(path):
        pointer["lfs"] = {"oid": large, "size": size, "pointerSize": 130}
    if xet and pointer:
        pointer["xetHash"] = large
    return {"type": "file", "path": name, "size": size, "oid": small, **pointer}


def _digests(path: Path) -> tuple[str, str]:
    stat = path.stat()
    return _digests_at(path, stat.st_size, stat.st_mtime_ns)


@cache
def _digests_at(path: Path, size: int, mtime_ns: int) -> tuple[str, str]:
    return sha256(path), git_sha1(path)


def _blocks(path: Path, start: int, end: int) -> Iterator[tuple[int, bytearray]]:
    with path.open("rb") as file:
        file.seek(start)
        for offset in range(start, end, BLOCK):
            yield offset, bytearray(file.read(min(BLOCK, end - offset)))
