"""The Hugging Face cache of one repository on this disk: its layout, its locks, its listings.

    <cache>/models--<owner>--<name>/blobs/<digest>              a file, named by its own digest
                                    blobs/<digest>.incomplete   what came of it so far
                                    snapshots/<commit>/<path>   a link to its blob
                                    refs/<branch>               the commit that a branch had
                                    trees/<commit>.json         what the Hub listed at a commit
    <cache>/.locks/models--<owner>--<name>/<digest>.lock

Other programs write and read the same (https://huggingface.co/docs/huggingface_hub/guides/
manage-cache), so nothing is stored twice; and nothing found here is believed before it is hashed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError
from zoo.files import locks
from zoo.files.digests import Digest, blocks, git_state, sha256
from zoo.files.documents import parse_json
from zoo.files.safe_folder import SafeFolder, write_all
from zoo.files.trust import confined

COMMIT = re.compile("[0-9a-f]{40}")
DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
LARGEST_LISTING = 1 << 28
LARGEST_REF = 1 << 10
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class Remote:
    """A file as the Hub lists it; `digest` is its SHA-256, or the SHA-1 of git for a small one."""

    path: str
    size: int
    digest: str
    git: str
    xet: str | None = None

    @property
    def kind(self) -> str:
        return "sha256" if len(self.digest) == 64 else "git sha1"


class Cache:
    """The cache of the repository `repo` below `root`.

    What is written or removed is below the repository's own folder, and no link is followed there.
    A blob may be a link into another part of the cache, as where repositories share their blobs; a
    link that leads out of the cache is taken for no file.
    """

    def __init__(self, root: Path, repo: str) -> None:
        name = f"models--{repo.replace('/', '--')}"
        self.root = root
        self.folder = root / name
        self.files = SafeFolder(self.folder)
        self._locks = root / ".locks" / name

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit."""
        return self.folder / "snapshots" / commit

    def blob(self, remote: Remote) -> str:
        """The path of a file's blob, below the repository's folder."""
        return f"blobs/{remote.digest}"

    def partial(self, remote: Remote) -> str:
        """The path of what came so far of a file."""
        return f"{self.blob(remote)}.incomplete"

    def found(self, commit: str, remote: Remote) -> Path | None:
        """The regular file in the cache that has the bytes of `remote`, or should have."""
        for path in (self.blob(remote), f"snapshots/{commit}/{remote.path}"):
            if (file := self._inside(path)) is not None:
                return file
        return None

    def spoilt(self, remote: Remote) -> bool:
        """Whether something that is no file of the cache is in the place of a file's blob."""
        there = self.files.info(self.blob(remote)) is not None
        return there and self._inside(self.blob(remote)) is None

    def missing_bytes(self, remote: Remote) -> int:
        """How much of a file is still to come."""
        try:
            there = self.files.info(self.partial(remote))
        except (OSError, IntegrityError):
            there = None
        return max(0, remote.size - (there.st_size if there else 0))

    def _inside(self, path: str) -> Path | None:
        """The regular file that `path` is, or leads to inside the cache."""
        whole = self.folder / path
        try:
            there = self.files.info(path)
            if there is None:
                return None
            if stat.S_ISLNK(there.st_mode):
                whole = whole.resolve()
                if not whole.is_relative_to(self.root.resolve()):
                    return None
                there = whole.lstat()
        except (OSError, IntegrityError, RuntimeError):
            return None
        return whole if stat.S_ISREG(there.st_mode) else None

    @contextmanager
    def lock(
        self, remote: Remote, on_wait: Callable[[str], None], stop: threading.Event
    ) -> Iterator[None]:
        """Be the only one to fetch a file, among ourselves and among users of the Hub's client.

        Raises:
            zoo.files.locks.Taken: another has it, and `stop` was set meanwhile.
        """
        import filelock

        self._locks.mkdir(parents=True, exist_ok=True)
        with locks.holding(self._locks / f"{remote.digest}.zoo", on_wait, stop=stop):
            theirs = filelock.FileLock(self._locks / f"{remote.digest}.lock", mode=0o664)
            notified = False
            while True:
                try:
                    theirs.acquire(timeout=0.2 if notified else 0)
                    break
                except filelock.Timeout:
                    if not notified:
                        on_wait("another program")
                    notified = True
                    if stop.is_set():
                        raise locks.Taken("another program") from None
                except NotImplementedError:  # no flock here; ours holds all the same
                    break
            try:
                yield
            finally:
                theirs.release()

    def link(self, commit: str, remote: Remote) -> None:
        """Have a fetched file at its path in the snapshot."""
        pointer = f"snapshots/{commit}/{remote.path}"
        target = "../" * pointer.count("/") + self.blob(remote)
        if self.files.target(pointer) == target:
            return
        try:
            self.files.link(pointer, target)
        except OSError as error:  # a file system without links has the file itself in the snapshot
            if error.errno not in NO_LINKS:
                raise
            self._copy(self.blob(remote), pointer)

    def branch(self, name: str) -> str | None:
        """The commit that a branch had when it was last looked up."""
        try:
            commit = self.files.read(f"refs/{name}", LARGEST_REF).decode("ascii").strip()
        except (OSError, ValueError, IntegrityError):
            return None
        return commit if COMMIT.fullmatch(commit) else None

    def set_branch(self, name: str, commit: str) -> None:
        if self.branch(name) != commit:
            self.files.replace(f"refs/{name}", commit.encode())

    def listing(self, commit: str) -> dict[str, Remote] | None:
        """What the Hub listed at a commit, if that was kept and can be read."""
        try:
            data = parse_json(self.files.read(f"trees/{commit}.json", LARGEST_LISTING))
            if data["format_version"] != 1:
                return None
            return {name: _from_listing(name, file) for name, file in data["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IntegrityError):
            return None

    def set_listing(self, commit: str, listing: dict[str, Remote]) -> None:
        """Keep a listing in the form in which the Hub's client does."""
        files = {name: _for_listing(listing[name]) for name in sorted(listing)}
        text = json.dumps({"format_version": 1, "files": files}, indent=1)
        self.files.replace(f"trees/{commit}.json", text.encode())

    def named_by_links(self, commit: str, paths: list[str]) -> dict[str, Remote] | None:
        """The files at `paths` as the links of a snapshot name them, if all are there."""
        found = {}
        for path in paths:
            pointer = f"snapshots/{commit}/{path}"
            name = (self.files.target(pointer) or "").rpartition("/")[2]
            file = self._inside(pointer)
            if not DIGEST.fullmatch(name) or file is None:
                return None
            found[path] = Remote(path, file.stat().st_size, name, "")
        return found

    def discard(self, commit: str, remote: Remote) -> None:
        """Remove a file of a snapshot and every blob of the cache that it leads to.

        A link that leads out of the cache is removed, and what it leads to stays.

        Raises:
            IntegrityError: a folder is in the place of the file.
        """
        self.files.remove(f"snapshots/{commit}/{remote.path}")
        self.discard_blob(remote)

    def discard_blob(self, remote: Remote) -> None:
        """Remove the blob of a file, likewise."""
        folder, path = self.files, self.blob(remote)
        while (there := folder.info(path)) is not None:
            if stat.S_ISDIR(there.st_mode):
                raise IntegrityError(
                    f"{folder.root / path} is a folder, and should be the file '{remote.path}'",
                    "find out who put it there, and remove it",
                )
            leads, here = folder.target(path), folder.root / path
            folder.remove(path)
            if leads is None:
                return
            root = self.root.resolve()
            end = Path(os.path.normpath(here.parent.resolve() / leads))
            if not end.is_relative_to(root):
                return
            folder, path = SafeFolder(root), end.relative_to(root).as_posix()

    def _copy(self, source: str, target: str) -> None:
        draft = f"{target}.{os.urandom(6).hex()}"
        try:
            with self.files.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                for block in blocks(self.folder / source):
                    write_all(file, block)
            self.files.move(draft, target)
        finally:
            self.files.remove(draft)


def forget(root: Path, snapshot: Path, paths: Iterable[str]) -> int:
    """Remove files of a snapshot of the cache at `root`, and their blobs where no other has them.

    Nothing is removed when `snapshot` is none of this cache.

    Returns:
        The bytes freed.
    """
    folder, commit = snapshot.parent.parent, snapshot.name
    if snapshot.parent.name != "snapshots" or folder.parent != root or not COMMIT.fullmatch(commit):
        return 0
    files = SafeFolder(folder)
    freed = 0
    for path in paths:
        pointer = f"snapshots/{commit}/{path}"
        name = (files.target(pointer) or "").rpartition("/")[2]
        files.remove(pointer)
        blob = files.info(f"blobs/{name}") if DIGEST.fullmatch(name) else None
        if blob is None or not stat.S_ISREG(blob.st_mode) or _linked(folder, name):
            continue
        freed += blob.st_blocks * 512
        files.remove(f"blobs/{name}")
    for left in sorted((p for p in snapshot.rglob("*") if p.is_dir()), reverse=True):
        if not any(left.iterdir()):
            files.remove(left.relative_to(folder).as_posix())
    if not files.names(f"snapshots/{commit}"):
        files.remove(f"snapshots/{commit}")
    return freed


def _linked(folder: Path, blob: str) -> bool:
    """Whether a file of some snapshot is a link to this blob."""
    links = (p for p in folder.glob("snapshots/*/**/*") if p.is_symlink())
    return any(Path(os.readlink(link)).name == blob for link in links)


def unfinished(root: Path) -> list[Path]:
    """What is left of downloads that nobody is at, ours and those of the Hub's client.

    Nothing is looked for behind a folder of blobs that is a link.
    """
    found = []
    for folder in sorted(root.glob("models--*")):
        files = SafeFolder(folder)
        try:
            names = [name for name in files.names("blobs") if name.endswith(".incomplete")]
        except (OSError, IntegrityError):
            continue
        there = ((name, files.info(f"blobs/{name}")) for name in names)
        plain = [name for name, info in there if info and not stat.S_ISDIR(info.st_mode)]
        found += [folder / "blobs" / name for name in plain]
    return [path for path in found if _idle(root, path)]


def _idle(root: Path, path: Path) -> bool:
    import filelock

    digest, folder = path.name.partition(".")[0], root / ".locks" / path.parent.parent.name
    if locks.holder(folder / f"{digest}.zoo") is not None:
        return False
    theirs = folder / f"{digest}.lock"
    if not theirs.exists():
        return True
    try:
        with filelock.FileLock(theirs, timeout=0, mode=0o664):
            return True
    except filelock.Timeout:
        return False


def states(remote: Remote) -> dict[str, Digest]:
    """Digests to feed a file's bytes to: always SHA-256, and git's where the Hub names it so."""
    made: dict[str, Digest] = {"sha256": hashlib.sha256()}
    if remote.kind != "sha256":
        made[remote.kind] = git_state(remote.size)
    return made


def fault_of(path: Path, remote: Remote, sha256_pinned: str | None = None) -> str | None:
    """What is wrong with a file on disk, found by hashing it."""
    size = path.stat().st_size
    if size != remote.size:
        return f"'{remote.path}' has {size} bytes, expected {remote.size}"
    if remote.kind == "sha256":
        found = {"sha256": sha256(path)}
    else:
        fed = states(remote)
        for block in blocks(path):
            for state in fed.values():
                state.update(block)
        found = {kind: state.hexdigest() for kind, state in fed.items()}
    return wrong_digest(remote, found, sha256_pinned)


def wrong_digest(
    remote: Remote, found: dict[str, str], sha256_pinned: str | None = None
) -> str | None:
    """Which of the digests found is not as expected, if one is."""
    expected = [(remote.kind, remote.digest), ("sha256", sha256_pinned)]
    for kind, digest in expected:
        if digest and found[kind] != digest:
            return f"'{remote.path}' has the {kind} {found[kind]}, expected {digest}"
    return None


def _from_listing(path: str, file: dict[str, Any]) -> Remote:
    size = file.get("lfs_size") or file["size"]
    return checked_remote(path, size, file.get("lfs_sha256"), file["blob_id"], file.get("xet_hash"))


def _for_listing(remote: Remote) -> dict[str, Any]:
    data: dict[str, Any] = {"size": remote.size, "blob_id": remote.git or remote.digest}
    if remote.kind == "sha256":
        data |= {"lfs_sha256": remote.digest, "lfs_size": remote.size}
    return data | ({"xet_hash": remote.xet} if remote.xet else {})


def checked_remote(path: Any, size: Any, sha256: Any, git: Any, xet: Any = None) -> Remote:
    """A listed file whose size and digests are of the form that they must have.

    The path is taken as it is: whoever uses it must see that it is confined.

    Raises:
        ValueError: they are not.
    """
    digest = sha256 or git
    if not isinstance(path, str) or type(size) is not int or size < 0:
        raise ValueError(f"{path!r} has no size")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or not isinstance(git, str):
        raise ValueError(f"{path!r} has no digest")
    if xet is not None and not (isinstance(xet, str) and re.fullmatch("[0-9a-f]{64}", xet)):
        xet = None
    return Remote(path, size, digest, git if DIGEST.fullmatch(git) else "", xet)


def cached_commit(folder: Path, file: str = "") -> str | None:
    """The commit in the Hub's cache of a folder, or of a file in it that is a link to there."""
    link = folder / file
    holders = (folder, *Path(os.readlink(link)).parents) if link.is_symlink() else (folder,)
    for holder in holders:
        if holder.parent.name == "snapshots" and COMMIT.fullmatch(holder.name):
            return holder.name
    return None


def cached_repo(folder: Path, file: str = "") -> str | None:
    """The repository in the Hub's cache that a folder is a snapshot of, found likewise."""
    link = folder / file
    holders = (folder, *Path(os.readlink(link)).parents) if link.is_symlink() else (folder,)
    for holder in holders:
        name = holder.parent.parent.name
        if holder.parent.name == "snapshots" and name.startswith("models--"):
            repo = name.removeprefix("models--").replace("--", "/", 1)
            return repo if confined(repo) else None
    return None
