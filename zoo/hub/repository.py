"""One pull from one repository of the Hub: what is wanted, what is there, what is to come."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from zoo.catalogs.source import Source
from zoo.errors import IntegrityError, NotFound, Offline
from zoo.files import room, trust
from zoo.files.locks import Taken
from zoo.files.safe_folder import read_regular
from zoo.formats.checkpoint import LARGEST_JSON, SUFFIX, Read, checkpoint_files
from zoo.hub import client, explain, xet
from zoo.hub.api import HubApi
from zoo.hub.cache import COMMIT, Cache, Remote, fault_of
from zoo.hub.transfer import Meter, Stopped, Transfer, Unreachable, publish
from zoo.progress import Progress
from zoo.words import human

SAFE_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""What is fetched when a recipe lists no files: never pickles, which run code when loaded."""

AT_ONCE = 4
HASHING_THREADS = 2


class Repository:
    """A repository at a commit or branch, and the Hub's cache of it on this disk."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.repo = source.repo or ""
        self.revision = source.revision or source.branch or "main"
        self.files = source.files
        self.pinned = {file.path: file.sha256 for file in source.files}
        self.progress = progress
        self.endpoint = client.endpoint()
        self.cache = Cache(cache_folder(), self.repo)
        self.api = HubApi(self.endpoint, self.repo, progress)
        self.stop = threading.Event()

    def __str__(self) -> str:
        return f"'{self.repo}' at revision '{self.revision}'"

    def pull(self) -> Path:
        """The folder with the files, all of them verified.

        Raises:
            NotFound, Gated, Offline, IntegrityError, NoRoom: why it could not be had; what came of
                it stays for the next try.
        """
        commit, remotes = self._wanted()
        with self._explained():
            missing = self._unsound(commit, remotes)
            if missing:
                self._require_online(missing)
                self._require_admission(commit, missing)
                self._require_room(missing)
                self._fetch(commit, missing)
            for remote in remotes:
                self.cache.link(commit, remote)
        return self.cache.snapshot(commit)

    def head(self) -> str:
        """The commit that the branch has now, asked of the Hub.

        Raises:
            NotFound, Gated, Offline: why it cannot tell.
        """
        self._require_online([])
        with self._explained():
            return self.api.commit(self.revision)

    def listed(self) -> tuple[str, dict[str, Remote]]:
        """The commit, and every file that it has.

        Raises:
            NotFound, Gated, Offline, IntegrityError: why the repository cannot be looked at.
        """
        commit = self._commit()
        listing = self.cache.listing(commit)
        return commit, self._listing(commit) if listing is None else listing

    def part(self, commit: str, path: str, start: int, end: int) -> bytes:
        """The bytes of a file from `start` up to `end`, which are not kept.

        Raises:
            NotFound, Gated, Offline: why they could not be had.
        """
        self._require_online([])
        with self._explained():
            return self.api.part(path, commit, start, end)

    def _wanted(self) -> tuple[str, list[Remote]]:
        """The commit, and the files of it that are to be there."""
        commit = self._commit()
        paths = [file.path for file in self.files]
        listing = self.cache.listing(commit)
        if listing is None and paths:
            listing = self.cache.named_by_links(commit, paths)
        if listing is None or any(path not in listing for path in paths):
            listing = self._listing(commit)
        for path in paths:
            if path not in listing:
                raise NotFound(f"{self} has no file '{path}'", f"see {self.endpoint}/{self.repo}")
        if not paths:
            paths = by_default(listing, lambda name: self._small(commit, listing[name]))
        if not paths:
            raise NotFound(
                f"{self} has none of the files that are fetched by default",
                f"these are {' '.join(SAFE_PATTERNS)}; list others in the recipe",
            )
        trust.require_names(paths, str(self))
        for path in paths:
            trust.require_data(path, str(self))
        remotes = [listing[path] for path in sorted(paths)]
        self._require_agreement(remotes)
        return commit, remotes

    def _small(self, commit: str, remote: Remote) -> bytes:
        """The content of a small file, from the cache where it is there."""
        there = self.cache.snapshot(commit) / remote.path
        if there.is_file():
            return read_regular(there, LARGEST_JSON)
        if remote.size > LARGEST_JSON:
            raise IntegrityError(
                f"'{remote.path}' of {self} is too large to read: {human(remote.size)}"
            )
        return self.part(commit, remote.path, 0, remote.size)

    def _commit(self) -> str:
        if COMMIT.fullmatch(self.revision):
            return self.revision
        known = self.cache.branch(self.revision)
        if known is None:
            self._require_online([])
        elif self._offline:
            return known
        try:
            with self._explained():
                commit = self.api.commit(self.revision)
        except Offline as error:
            if known is None:
                raise
            self.progress.note(
                f"{error.message}; using the commit that '{self.revision}' had before"
            )
            return known
        with suppress(OSError):  # A cache that cannot be written is still good to read.
            self.cache.set_branch(self.revision, commit)
        return commit

    def _listing(self, commit: str) -> dict[str, Remote]:
        self._require_online([])
        with self._explained():
            found = self.api.files(commit)
        with suppress(OSError):
            self.cache.set_listing(commit, found)
        return found

    def _require_agreement(self, remotes: list[Remote]) -> None:
        """Refuse files whose size or hash on the Hub is not what is pinned, before a byte comes."""
        wanted = {file.path: file for file in self.files}
        for remote in remotes:
            file = wanted.get(remote.path)
            if file is None:
                continue
            found: list[tuple[str, object, object]] = [("size", remote.size, file.size)]
            if remote.kind == "sha256":
                found.append(("sha256", remote.digest, file.sha256))
            for name, has, expected in found:
                if expected is not None and has != expected:
                    raise IntegrityError(
                        f"{self} is not what is pinned: '{remote.path}' has the {name} {has}, "
                        f"expected {expected}",
                        "do not use this file unless you know why it changed",
                    )

    def _unsound(self, commit: str, remotes: list[Remote]) -> list[Remote]:
        """The files that are not here, or are not what they should be: those are removed."""
        with ThreadPoolExecutor(HASHING_THREADS) as threads:
            faults = list(threads.map(lambda remote: self._fault(commit, remote), remotes))
        missing = []
        for remote, fault in zip(remotes, faults, strict=True):
            if fault is None:
                continue
            if fault:
                self.progress.note(f"{fault}; fetching it again")
                self.cache.discard(commit, remote)
            missing.append(remote)
        return missing

    def _fault(self, commit: str, remote: Remote) -> str | None:
        """What is wrong with a file in the cache; the empty string when there is none."""
        path = self.cache.found(commit, remote)
        if path is not None:
            return fault_of(path, remote, self.pinned.get(remote.path))
        if self.cache.spoilt(remote):
            return f"the cache entry for '{remote.path}' is not a plain file inside the cache"
        return ""

    def _fetch(self, commit: str, missing: list[Remote]) -> None:
        """Bring files, several at once, the largest first."""
        distinct = {remote.digest: remote for remote in missing}
        queue = sorted(distinct.values(), key=lambda remote: -remote.size)
        meter = Meter(self.progress, sum(remote.size for remote in queue))
        transfer = Transfer(
            self.endpoint, self.repo, commit, self.api.headers, meter, self.stop, self.cache.files
        )
        failed: list[BaseException] = []
        try:
            with ThreadPoolExecutor(min(AT_ONCE, len(queue))) as threads:
                running = [threads.submit(self._bring, transfer, remote) for remote in queue]
                try:
                    for one in as_completed(running):
                        try:
                            one.result()
                        except Exception as error:
                            self.stop.set()
                            failed.append(error)
                finally:
                    self.stop.set()
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(self._kept(commit, queue))
            raise
        real = [error for error in failed if not isinstance(error, Stopped | Taken)]
        if failed:
            raise (real or failed)[0]

    def _kept(self, commit: str, remotes: list[Remote]) -> str:
        """What an interrupted download leaves for the next one."""
        whole = sum(remote.size for remote in remotes)
        still = sum(
            self.cache.missing_bytes(remote)
            for remote in remotes
            if self.cache.found(commit, remote) is None
        )
        return f"{human(whole - still)} of {human(whole)} are kept, run it again to resume"

    def _bring(self, transfer: Transfer, remote: Remote) -> None:
        if self.stop.is_set():
            raise Stopped
        final = self.cache.blob(remote)

        def waiting(who: str) -> None:
            self.progress.note(f"{who} is fetching '{remote.path}'; waiting for it")

        with self.cache.lock(remote, waiting, self.stop):
            if self.cache.files.is_file(final):
                path = self.cache.folder / final
                fault = fault_of(path, remote, self.pinned.get(remote.path))
                if fault is None:
                    transfer.meter.add(remote.size)
                    return
                self.cache.discard_blob(remote)
            if not self._by_xet(transfer, remote, final):
                pinned = self.pinned.get(remote.path)
                transfer.fetch(remote, self.cache.partial(remote), final, pinned)

    def _by_xet(self, transfer: Transfer, remote: Remote, final: str) -> bool:
        """Bring a file by Xet where that is offered; whether it came, and is right."""
        partial, files = self.cache.partial(remote), self.cache.files
        if files.info(partial) is not None or not xet.offered(remote):
            return False  # What HTTP began, HTTP finishes.
        target = f"{final}.xet.incomplete"
        files.remove(target)
        files.make("blobs")
        if not xet.bring(transfer, remote, self.cache.folder / target):
            return False
        fault = f"'{remote.path}' did not come as a file"
        if files.is_file(target):
            fault = fault_of(self.cache.folder / target, remote, self.pinned.get(remote.path)) or ""
        if fault:
            self.progress.note(f"{fault}; fetching it again by HTTP")
            files.remove(target)
            transfer.meter.add(-remote.size)
            return False
        publish(files, target, final)
        return True

    @property
    def _offline(self) -> bool:
        return bool(client.constants().is_offline_mode())

    def _require_online(self, missing: Iterable[Remote]) -> None:
        if not self._offline:
            return
        lacks = ", ".join(f"{remote.path} ({human(remote.size)})" for remote in missing)
        lacks = lacks or ", ".join(file.path for file in self.files) or "the list of its files"
        raise Offline(
            f"offline mode is on, and the cache lacks files of {self}: {lacks}",
            "unset HF_HUB_OFFLINE, or bring them from another machine: zoo export, zoo import",
        )

    def _require_admission(self, commit: str, missing: list[Remote]) -> None:
        smallest = min(missing, key=lambda remote: remote.size)
        self.api.require_admission(smallest.path, commit)

    def _require_room(self, missing: list[Remote]) -> None:
        needed = sum({r.digest: self.cache.missing_bytes(r) for r in missing}.values())
        room.require(self.cache.root, {"the source": needed}, str(self), explain.FREE_SPACE)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the network and the Hub's client raise into what a person can act on."""
        try:
            yield
        except (Unreachable, explain.Nonsense) as error:
            raise explain.lost(self.repo, self.revision, self.endpoint, str(error)) from error
        except Exception as error:
            known = explain.explain(error, self.repo, self.revision, self.endpoint)
            if known is None:
                raise
            raise known from error


def cache_folder() -> Path:
    """Where the Hub's files are kept."""
    return client.cache_folder()


def by_default(names: Iterable[str], read: Read | None = None) -> list[str]:
    """Of the files of a repository, those that are fetched when a recipe lists none.

    All text, and each weight once: second copies in another variant or layout stay where they are.

    Args:
        names: all files of the repository.
        read: reads a small one, such as the index of shards; without it, what is not clear is all
            taken.

    Raises:
        IntegrityError: with `read`, it is not clear which files are the weights.
    """
    safe = [name for name in names if any(fnmatch(name, pattern) for pattern in SAFE_PATTERNS)]
    try:
        chosen = set(checkpoint_files(safe, read))
    except IntegrityError:
        if read is not None:
            raise
        return safe
    return [name for name in safe if name in chosen or not name.endswith(SUFFIX)]


def to_come(source: Source, size: int) -> int:
    """How many of the `size` bytes of a source are not in the cache yet; no network."""
    cache = Cache(cache_folder(), source.repo or "")
    commit = source.revision or cache.branch(source.branch or "main")
    if commit is None:
        return size
    if not source.files:
        listing = cache.listing(commit)
        if listing is None:
            return 0 if cache.snapshot(commit).is_dir() else size
        wanted = [listing[path] for path in by_default(listing)]
        there = cache.snapshot(commit)
        return sum(cache.missing_bytes(r) for r in wanted if not (there / r.path).exists())
    rest = 0
    for file in source.files:
        if not (cache.snapshot(commit) / file.path).exists():
            rest += cache.missing_bytes(Remote(file.path, file.size or 0, file.sha256 or "-", ""))
    return rest
