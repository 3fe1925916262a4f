"""What the Hub says of a repository: the commit of a branch, the files of a commit, the gate.

Its answers are taken for what they are, text from outside: of bounded size, and of the one form
that is understood.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any
from urllib.parse import quote, urljoin

from zoo.files.documents import parse_json
from zoo.hub import client
from zoo.hub.cache import COMMIT, Remote, checked_remote
from zoo.hub.explain import Nonsense, retrying
from zoo.progress import Progress

TIMEOUT = 10.0
LONGEST_ANSWER = 120.0
"""Seconds that one answer may take to arrive, however steadily it drips."""

LARGEST_ANSWER = 1 << 26
MOST_FILES = 100_000
MOST_PAGES = 1_000


class HubApi:
    """The Hub at `endpoint`, as this user sees the repository `repo`."""

    def __init__(self, endpoint: str, repo: str, progress: Progress) -> None:
        self.endpoint, self.repo, self.progress = endpoint, repo, progress

    @cached_property
    def headers(self) -> dict[str, str]:
        """What goes with every request.

        Raises:
            UsageError: the token cannot be used.
        """
        return client.headers()

    def commit(self, branch: str) -> str:
        """The commit that a branch or tag has now.

        Raises:
            Nonsense: the answer is no answer of a hub; whatever the Hub's client raises.
        """
        url = f"{self.endpoint}/api/models/{self.repo}/revision/{quote(branch, safe='')}"
        said, _ = self._ask(url)
        commit = said.get("sha") if isinstance(said, dict) else None
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise Nonsense("it names no commit")
        return commit

    def files(self, commit: str) -> dict[str, Remote]:
        """The files of a commit, by path; the paths are as the Hub says them.

        Raises:
            Nonsense: the answer is no list of files; whatever the Hub's client raises.
        """
        url: str | None = f"{self.endpoint}/api/models/{self.repo}/tree/{commit}?recursive=true"
        found: dict[str, Remote] = {}
        for _ in range(MOST_PAGES):
            if url is None:
                return found
            said, following = self._ask(url)
            if not isinstance(said, list):
                raise Nonsense("it sends no list of files")
            for entry in said:
                remote = _remote(entry)
                if remote and remote.path in found:
                    raise Nonsense(f"it lists '{remote.path}' twice")
                if remote:
                    found[remote.path] = remote
            if len(found) > MOST_FILES:
                break
            try:
                url = urljoin(url, following) if following else None
            except ValueError:
                raise Nonsense("its next-page link is not a valid URL") from None
            if url and not url.startswith(f"{self.endpoint}/"):
                raise Nonsense("its next-page link points to another host")
        raise Nonsense(f"it lists over {MOST_FILES:,} files")

    def require_admission(self, path: str, commit: str) -> None:
        """Ask for a file without its body: a gate is met before anything is fetched.

        Raises:
            GatedRepoError, and whatever else the Hub's client raises.
        """
        url = f"{self.endpoint}/{self.repo}/resolve/{commit}/{quote(path)}"
        retrying(lambda: self._once("HEAD", url), self.endpoint, self.progress)

    def part(self, path: str, commit: str, start: int, end: int) -> bytes:
        """The bytes of a file from `start` up to `end`.

        Raises:
            Nonsense: other bytes come; whatever the Hub's client raises.
        """
        url = f"{self.endpoint}/{self.repo}/resolve/{commit}/{quote(path)}"
        return retrying(lambda: self._part(url, start, end), self.endpoint, self.progress)

    def _part(self, url: str, start: int, end: int) -> bytes:
        wanted = {
            **self.headers,
            "Range": f"bytes={start}-{end - 1}",
            "accept-encoding": "identity",
        }
        body, deadline = bytearray(), time.monotonic() + LONGEST_ANSWER
        with client.session().stream(
            "GET", url, headers=wanted, timeout=TIMEOUT, follow_redirects=True
        ) as response:
            client.raise_for_status(response)
            skipped = 0 if response.status_code == 206 else start
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) >= skipped + end - start:
                    break
                if time.monotonic() > deadline:
                    raise Nonsense(f"a response takes more than {LONGEST_ANSWER:g} s")
        if len(body) < skipped + end - start:
            raise Nonsense(
                f"it sends {len(body)} bytes of a file where {end - start} were asked for"
            )
        return bytes(body[skipped : skipped + end - start])

    def _ask(self, url: str) -> tuple[Any, str | None]:
        """The JSON at an address, and where it goes on."""
        return retrying(lambda: self._once("GET", url), self.endpoint, self.progress)

    def _once(self, method: str, url: str) -> tuple[Any, str | None]:
        follow = method == "GET"
        with client.session().stream(
            method, url, headers=self.headers, timeout=TIMEOUT, follow_redirects=follow
        ) as response:
            client.raise_for_status(response)
            if method == "HEAD":
                return None, None
            body, deadline = bytearray(), time.monotonic() + LONGEST_ANSWER
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise Nonsense(f"it sends over {LARGEST_ANSWER >> 20} MiB")
                if time.monotonic() > deadline:
                    raise Nonsense(f"a response takes more than {LONGEST_ANSWER:g} s")
            following = response.links.get("next", {}).get("url")
        try:
            return parse_json(bytes(body)), following
        except ValueError:
            raise Nonsense("the response is not that of a Hub") from None


def _remote(entry: Any) -> Remote | None:
    """A file of a listing, checked; `None` for a folder."""
    try:
        if entry["type"] != "file":
            return None
        lfs = entry.get("lfs") or {}
        size, digest = lfs.get("size", entry["size"]), lfs.get("oid")
        return checked_remote(entry["path"], size, digest, entry["oid"], entry.get("xetHash"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Nonsense(f"it lists an invalid file ({error})") from None
