"""The default `download`: a repository on the Hugging Face Hub, or a folder.

Files from the Hub stay in the layout of its cache, so other programs share them. The Hub's client
checks sizes only; here every file is hashed, against the recipe and against the digest by which
the cache itself names the file. Wrong bytes are taken out of the cache and fetched once more.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from zoo.digests import git_sha1, sha256
from zoo.errors import Gated, IntegrityError, NoRoom, NotFound, Offline, ZooError
from zoo.hookspecs import hookimpl
from zoo.progress import Progress
from zoo.recipe import File, Recipe, Source
from zoo.text import TOKENIZER_FILES

SAFE_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""What is fetched when a recipe lists no files: never pickles, which run code when loaded."""

PAUSES = (0.5, 1.0)
"""Seconds to wait before the second and the third attempt."""

HASHING_THREADS = 2

LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
FREE_SPACE = "free some space, or set HF_HOME to a folder on another disk"
LOST = (
    Offline,
    "'{repo}' at revision '{revision}' cannot be fetched from {hub}: {reason}",
    "check the network, and any proxy or login page on the way",
)
EXPLANATIONS: dict[str, tuple[type[ZooError], str, str]] = {
    "GatedRepoError": (
        Gated,
        "'{repo}' is gated, and you have no access to it yet",
        f"accept the licence at {{hub}}/{{repo}}, then {LOGIN}",
    ),
    "RepositoryNotFoundError": (
        NotFound,
        "{hub} has no repository '{repo}', or it is private",
        f"if it is private, {LOGIN}",
    ),
    "RevisionNotFoundError": (
        NotFound,
        "'{repo}' has no revision '{revision}'",
        "see {hub}/{repo}/commits/main",
    ),
    "RemoteEntryNotFoundError": (
        NotFound,
        "'{repo}' at revision '{revision}' lists a file that it does not have",
        "see {hub}/{repo}",
    ),
    "refused": (Gated, "{hub} refuses your token for '{repo}'", LOGIN),
    "OfflineModeIsEnabled": (
        Offline,
        "offline mode is on, and the cache lacks files of '{repo}' at revision '{revision}'",
        "unset HF_HUB_OFFLINE",
    ),
    "disk full": (NoRoom, "the disk filled up while '{repo}' was fetched", FREE_SPACE),
    "HfHubHTTPError": LOST,
    "HTTPError": LOST,
    "FileMetadataError": LOST,
    "JSONDecodeError": LOST,
}
"""What to say to each error of the Hub's client, by the name of its class or a base class."""

COMMIT = re.compile("[0-9a-f]{40}")


@hookimpl
def download(recipe: Recipe, dest: Path, progress: Progress) -> Path:
    """Bring the files of `recipe.source`; they stay where they are, outside `dest`.

    When they have no tokenizer and the recipe says where there is one, `dest` gets both.
    """
    source = _bring(recipe.source, recipe.home, progress)
    if recipe.tokenizer is None or any((source / name).is_file() for name in TOKENIZER_FILES):
        return source
    tokenizer = _bring(recipe.tokenizer, recipe.home, progress)
    apart = {file.path for file in recipe.tokenizer.files}
    own = recipe.source.files or _found(source)
    _place(source, [file.path for file in own if file.path not in apart], dest)
    _place(tokenizer, apart, dest)
    return dest


def fetched_commit(folder: Path, file: str = "") -> str | None:
    """The commit in the Hub's cache of a folder, or of a file in it that is a link to there."""
    link = folder / file
    holders = (folder, *Path(os.readlink(link)).parents) if link.is_symlink() else (folder,)
    for holder in holders:
        if holder.parent.name == "snapshots" and COMMIT.fullmatch(holder.name):
            return holder.name
    return None


def _bring(source: Source, home: Path, progress: Progress) -> Path:
    if source.folder is not None:
        return _take_folder(home / source.folder, source.files)
    return _Repository(source, progress).pull()


def _place(folder: Path, paths: Iterable[str], dest: Path) -> None:
    """Have files of `folder` in `dest` too: those of the Hub's cache as links into it.

    A file in a user's folder may be edited by its owner: it is copied.
    """
    for path in paths:
        target = dest / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (folder / path).is_symlink():
            target.symlink_to(folder.resolve() / path)
        else:
            shutil.copy2(folder / path, target)


def _take_folder(folder: Path, files: Iterable[File]) -> Path:
    if not folder.is_dir():
        raise NotFound(f"the source folder {folder} does not exist")
    for file in files:
        if not (folder / file.path).is_file():
            raise NotFound(f"the source folder {folder} has no file '{file.path}'")
    if faults := _faults((folder / file.path, file, None) for file in files):
        raise IntegrityError(
            f"the source folder {folder} is not what the recipe pins: {'; '.join(faults.values())}",
            "restore the file, or correct the recipe",
        )
    return folder


class _Repository:
    """One pull from one repository."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.repo = source.repo or ""
        self.revision = source.revision or source.branch or "main"
        self.files = source.files
        self.progress = progress

    def __str__(self) -> str:
        return f"'{self.repo}' at revision '{self.revision}'"

    def pull(self) -> Path:
        """The folder with the files, all of them verified."""
        folder = self._fetch([glob.escape(f.path) for f in self.files] or list(SAFE_PATTERNS))
        wrong = self._verify(folder, self.files or _found(folder))
        if not wrong:
            return folder
        for file, fault in wrong.items():
            self.progress.note(f"{fault}; fetching it again")
            _discard(folder / file.path)
        with self._explained():
            self._snapshot([glob.escape(file.path) for file in wrong], revision=folder.name)
        if still := self._verify(folder, wrong):
            for file in still:
                _discard(folder / file.path)
            raise IntegrityError(
                f"{self} sends other bytes than expected: {'; '.join(still.values())}",
                "nothing of it was kept; do not use this file unless you know why it changed",
            )
        return folder

    def _fetch(self, patterns: list[str]) -> Path:
        """The snapshot from the Hub or, when that cannot be asked, as the cache has it."""
        from huggingface_hub.errors import DryRunError

        with self._explained():
            try:
                planned = self._snapshot(patterns, dry_run=True)
            except DryRunError:
                if (folder := self._cached(patterns)) is not None:
                    return folder
                raise
        self._require_files({file.filename for file in planned})
        self._require_room(sum(file.file_size or 0 for file in planned if file.will_download))
        with self._explained():
            folder = Path(self._snapshot(patterns))
        self._require_files(_paths(folder))  # A branch may have moved since it was planned.
        return folder

    def _snapshot(self, patterns: list[str], **options: Any) -> Any:
        from huggingface_hub import snapshot_download

        options = {"revision": self.revision, "tqdm_class": _bar(self.progress), **options}
        return _retrying(
            lambda: snapshot_download(self.repo, allow_patterns=patterns, **options), self.progress
        )

    def _cached(self, patterns: list[str]) -> Path | None:
        """The snapshot in the cache, if it has every file."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            folder = Path(self._snapshot(patterns, local_files_only=True))
        except LocalEntryNotFoundError:
            return None
        return folder if all((folder / file.path).is_file() for file in self.files) else None

    def _require_files(self, there: set[str]) -> None:
        for file in self.files:
            if file.path not in there:
                raise NotFound(f"{self} has no file '{file.path}'")
        if not there:
            raise NotFound(
                f"{self} has none of the files that are fetched by default",
                f"these are {' '.join(SAFE_PATTERNS)}; list others in the recipe",
            )

    def _require_room(self, needed: int) -> None:
        from huggingface_hub import constants

        cache = Path(constants.HF_HUB_CACHE)
        free = shutil.disk_usage(next(p for p in (cache, *cache.parents) if p.exists())).free
        if needed > free:
            raise NoRoom(
                f"{self} needs {_megabytes(needed)} more on disk, "
                f"and {cache} has {_megabytes(free)} free",
                FREE_SPACE,
            )

    def _verify(self, folder: Path, files: Iterable[File]) -> dict[File, str]:
        """Hash what was fetched; the files that are wrong, each with what is wrong."""
        return _faults((folder / f.path, f, _blob_name(folder / f.path)) for f in files)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the Hub's client raises into what a person can act on."""
        try:
            yield
        except Exception as error:
            for link in _chain(error):
                if (kind := _kind(link)) is not None:
                    raise self._explain(kind, link) from error
            raise

    def _explain(self, kind: str, error: BaseException) -> ZooError:
        code, message, hint = EXPLANATIONS[kind]
        words = {
            "hub": _endpoint(),
            "repo": self.repo,
            "revision": self.revision,
            "reason": _reason(error),
        }
        return code(message.format(**words), hint.format(**words))


def _kind(error: BaseException) -> str | None:
    """Which of the explanations fits, if any."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk full"
    if _is_short_body(error):
        return "HTTPError"
    kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in EXPLANATIONS), None)
    if kind == "HfHubHTTPError" and isinstance(error, HfHubHTTPError):
        return "refused" if error.response.status_code in (401, 403) else kind
    return kind


def _retrying(attempt: Callable[[], Any], progress: Progress) -> Any:
    """The result of `attempt`, made up to three times when the network fails."""
    from huggingface_hub.errors import HTTPError

    for pause in PAUSES:
        try:
            return attempt()
        except (OSError, HTTPError) as error:
            failed = next((link for link in _chain(error) if _is_transient(link)), None)
            if failed is None:
                raise
            progress.note(f"{_endpoint()}: {_reason(failed)}; trying again in {pause} s")
            time.sleep(pause)
    return attempt()


def _is_transient(error: BaseException) -> bool:
    """Whether it may go better the next time, and the client did not try again itself."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    if isinstance(error, HfHubHTTPError):
        return bool(error.response.status_code >= 500)
    names = {c.__name__ for c in type(error).__mro__}
    retried = names & {"ConnectError", "TimeoutException"}
    return _is_short_body(error) or (isinstance(error, HTTPError) and not retried)


def _reason(error: BaseException) -> str:
    """What went wrong, without the client's own words: addresses in them may hold a token."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return f"it answered {error.response.status_code}"
    if _is_short_body(error):
        return "a file arrived with a wrong length"
    return f"the connection failed ({type(error).__name__})"


def _is_short_body(error: BaseException) -> bool:
    """Whether this is the plain OSError by which the client reports a body of a wrong length."""
    return type(error) is OSError and error.errno is None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _paths(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def _found(folder: Path) -> list[File]:
    """The files of a snapshot that are fetched by default; others may lie beside them."""
    fetched = (p for p in _paths(folder) if any(fnmatch(p, safe) for safe in SAFE_PATTERNS))
    return [File(path) for path in sorted(fetched)]


def _faults(files: Iterable[tuple[Path, File, str | None]]) -> dict[File, str]:
    """The files that are not as expected, each with what is wrong."""
    checked = list(files)
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        found = threads.map(lambda arguments: _fault(*arguments), checked)
        return {file: fault for (_, file, _), fault in zip(checked, found, strict=True) if fault}


def _fault(path: Path, file: File, blob: str | None) -> str | None:
    size = path.stat().st_size
    if file.size not in (None, size):
        return f"'{file.path}' has {size} bytes, expected {file.size}"
    for expected in filter(None, dict.fromkeys((file.sha256, blob))):
        kind, digest = ("sha256", sha256) if len(expected) == 64 else ("git sha1", git_sha1)
        if (found := digest(path)) != expected:
            return f"'{file.path}' has the {kind} {found}, expected {expected}"
    return None


def _blob_name(path: Path) -> str | None:
    """The digest by which the Hub's cache names this file, where it keeps links to named blobs."""
    name = Path(os.readlink(path)).name if path.is_symlink() else ""
    return name if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", name) else None


def _discard(path: Path) -> None:
    """Remove a file of a snapshot and every blob that it leads to."""
    while path.is_symlink():
        target = path.parent / os.readlink(path)
        path.unlink()
        path = target
    path.unlink(missing_ok=True)


def _bar(progress: Progress) -> Any:
    """A class of progress bars for the Hub's client that draw nothing and tell `progress`."""
    from huggingface_hub.utils import tqdm

    lock = threading.Lock()

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            self.counts_bytes = options.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            with lock:
                self.n += n or 0
                if self.counts_bytes:
                    progress.update(int(self.n), int(self.total or 0) or None)

    return Bar


def _endpoint() -> str:
    """The Hub's address, without a password that it may hold."""
    from huggingface_hub import constants

    return re.sub("//[^/@]*@", "//", constants.ENDPOINT)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
