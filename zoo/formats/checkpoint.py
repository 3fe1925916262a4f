"""What a checkpoint folder must and must not have before any library reads it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError

FOREIGN_CODE = ("auto_map", "model_file")


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a checkpoint that has safetensors and needs no code of its own.

    Raises:
        IntegrityError: what is missing, or what zoo refuses and why.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise IntegrityError(f"{path} must be a JSON object")
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
