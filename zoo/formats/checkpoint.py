"""What a checkpoint folder must and must not have before any library reads it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError

FOREIGN_CODE = ("auto_map", "model_file")
TEXT_FILES = (".jinja", ".json", ".model", ".txt")
"""Endings of the files of a tokenizer, a chat template and the settings of generation."""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        IntegrityError: the file is not there, is no JSON, or holds something else than an object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise IntegrityError(f"{path} must be a JSON object")
    return data


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a checkpoint that has safetensors and needs no code of its own.

    Raises:
        IntegrityError: what is missing, or what zoo refuses and why.
    """
    path = folder / "config.json"
    config = read_json(path)
    for key in FOREIGN_CODE:
        if key in config:
            raise IntegrityError(
                f"{path} has '{key}': the model wants code from its source, which zoo never runs"
            )
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
        why = "only pickled weights, which can run code when read" if pickled else "no weights"
        raise IntegrityError(f"{folder} has {why}; zoo reads safetensors")
    return config


def link_or_copy(source: Path, target: Path) -> None:
    """Have `source` at `target` too, without a second copy of its bytes where that is safe.

    The Hub's cache is made of symbolic links to blobs that nobody edits: those are linked. A plain
    file may be edited in place by its owner: it is copied.
    """
    if source.is_symlink():
        try:
            os.link(source.resolve(), target)
            return
        except OSError:  # another disk, or one without hard links
            pass
    shutil.copy2(source.resolve(), target)


def copy_text_files(
    source: Path, target: Path, *, left_out: Iterable[str] = ("config.json",)
) -> None:
    """Have a checkpoint's tokenizer, chat template and settings in `target` too.

    These are the files with one of the endings `TEXT_FILES` at the top of `source`, without the
    index of the weights. Each is linked or copied, as `link_or_copy` does.

    Args:
        source: the folder of the checkpoint, or of a build.
        target: the folder to write to; it exists.
        left_out: the names of files that the caller writes itself.
    """
    skipped = set(left_out)
    for path in sorted(source.iterdir()):
        wanted = path.suffix in TEXT_FILES and not path.name.endswith(".index.json")
        if wanted and path.name not in skipped and path.is_file():
            link_or_copy(path, target / path.name)
