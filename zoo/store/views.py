"""Views: folders with the files of an artifact and no others, by links."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from zoo.files.digests import unique
from zoo.files.safe_folder import SafeFolder
from zoo.store.artifacts import Artifact


def linked(root: Path, artifact: Artifact) -> Path:
    """A folder of links below `root`, made again unless it is as it should be."""
    links = {f.path: str(artifact.path / f.path) for f in artifact.manifest.files}
    digest = hashlib.sha256(json.dumps(links, sort_keys=True).encode()).hexdigest()
    name = f"{artifact.manifest.key}.{digest[:16]}"
    folder = SafeFolder(root)
    there = {
        path.relative_to(root / name).as_posix()
        for path in (root / name).rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    if there != links.keys() or any(
        folder.target(f"{name}/{path}") != target for path, target in links.items()
    ):
        draft = f".{unique()}"
        folder.make(draft)
        for path, target in links.items():
            folder.link(f"{draft}/{path}", target)
        folder.move(draft, name)
    return root / name


def strangers(artifact: Artifact) -> Iterator[str]:
    """Files in the folder of an artifact that it does not list, in no order."""
    listed = {file.path for file in artifact.manifest.files}
    for folder, inside, names in os.walk(artifact.path):
        below = os.path.relpath(folder, artifact.path)
        prefix = "" if below == "." else f"{Path(below).as_posix()}/"
        links = [name for name in inside if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*names, *links]):
            if prefix + name not in listed:
                yield prefix + name
