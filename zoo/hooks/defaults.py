"""The default `download`: a repository on the Hugging Face Hub, a folder, or an archive.

Files from the Hub stay in the layout of its cache, so other programs share them. Every file is
hashed, against the recipe and against the digest by which the Hub itself names it, and nothing
whose reading could run code of its maker is let in.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

from zoo.catalogs.recipe import Recipe
from zoo.catalogs.source import File, Source
from zoo.errors import IntegrityError, MissingPlugin, NotFound
from zoo.files import trust
from zoo.files.archives import unpack
from zoo.files.digests import sha256
from zoo.files.readable import require_readable
from zoo.hookspecs import hookimpl
from zoo.hub.cache import cached_commit as fetched_commit
from zoo.hub.repository import HASHING_THREADS, SAFE_PATTERNS, Repository
from zoo.progress import Progress
from zoo.store.artifacts import require_own
from zoo.tasks.text.tokenizer import TOKENIZER_FILES

__all__ = ["SAFE_PATTERNS", "download", "fetched_commit"]


@hookimpl
def download(recipe: Recipe, dest: Path, progress: Progress) -> Path:
    """Bring the files of `recipe.source`; they stay where they are, outside `dest`.

    When they have no tokenizer and the recipe says where there is one, `dest` gets both.
    """
    source = _bring(recipe.source, recipe, dest, progress)
    if recipe.tokenizer is None or any((source / name).is_file() for name in TOKENIZER_FILES):
        return source
    tokenizer = _bring(recipe.tokenizer, recipe, dest, progress)
    apart = {file.path for file in recipe.tokenizer.files}
    own = [file.path for file in recipe.source.files] or _found(source)
    _place(source, [path for path in own if path not in apart], dest)
    _place(tokenizer, apart, dest)
    return dest


def _bring(source: Source, recipe: Recipe, dest: Path, progress: Progress) -> Path:
    place = source.place(recipe.home)
    if source.archive is not None and place is not None:
        folder = _take_archive(place, source, dest)
    elif place is not None:
        folder = _take_folder(place, source.files)
    elif source.url is not None:
        raise MissingPlugin(
            f"no plugin downloads '{recipe.ref}' from {source.url}",
            f"the plugin of the family '{recipe.family}' needs a download hook for such addresses",
        )
    else:
        folder = Repository(source, progress).pull()
    for path in [file.path for file in source.files] or _found(folder):
        require_readable(folder / path)
    return folder


def _take_archive(archive: Path, source: Source, dest: Path) -> Path:
    listed = {file.path for file in source.files}
    wanted = listed.__contains__ if listed else _is_safe
    unpack(archive, (source.archive or ("", ""))[1], wanted, dest)
    require_pinned(dest, source.files, f"the archive {archive}")
    return dest


def _place(folder: Path, paths: Iterable[str], dest: Path) -> None:
    """Have files of `folder` in `dest` too: those of the Hub's cache as links into it.

    A file in a user's folder may be edited by its owner: it is copied.
    """
    for path in paths if folder != dest else ():
        target = dest / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if (folder / path).is_symlink():
            target.symlink_to(folder.resolve() / path)
        else:
            shutil.copy2(folder / path, target)


def _take_folder(folder: Path, files: tuple[File, ...]) -> Path:
    if not folder.is_dir():
        raise NotFound(f"the source folder {folder} does not exist")
    require_pinned(folder, files, f"the source folder {folder}")
    return folder


def require_pinned(folder: Path, files: Iterable[File], what: str) -> None:
    """Refuse a folder that lacks files, or whose files are not what a recipe pins.

    Args:
        folder: where the files are.
        files: as the recipe lists them.
        what: what the folder is, for the message.

    Raises:
        NotFound: a file is missing.
        IntegrityError: a file has another size or hash, or could run code when it is read.
    """
    files = tuple(files)
    for file in files:
        trust.require_data(file.path, what)
        if not (folder / file.path).is_file():
            raise NotFound(f"{what} has no file '{file.path}'")
        require_own(folder, file.path)
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        faults = threads.map(lambda file: _fault(folder / file.path, file), files)
    if wrong := [fault for fault in faults if fault]:
        raise IntegrityError(
            f"{what} is not what the recipe pins: {'; '.join(wrong)}",
            "restore the file, or correct the recipe",
        )


def _fault(path: Path, file: File) -> str | None:
    size = path.stat().st_size
    if file.size not in (None, size):
        return f"'{file.path}' has {size} bytes, expected {file.size}"
    if file.sha256 is not None and (found := sha256(path)) != file.sha256:
        return f"'{file.path}' has the sha256 {found}, expected {file.sha256}"
    return None


def _found(folder: Path) -> list[str]:
    """The files of a folder that are fetched by default; others may lie beside them."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(filter(_is_safe, names))


def _is_safe(name: str) -> bool:
    return any(fnmatch(name, safe) for safe in SAFE_PATTERNS)


@hookimpl
def convert(source: Path) -> Path:
    """The source's own files are what this format reads."""
    return source
