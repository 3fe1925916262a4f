"""What a step may leave: regular files of its own, and none that runs code when it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"}


def result_fault(folder: Path) -> str | None:
    """Why a folder cannot be a build, if it cannot."""
    found = False
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return f"left '{name}', a link that leads nowhere"
        if stat.S_ISDIR(mode):
            continue
        found = True
        if not stat.S_ISREG(mode):
            return f"left '{name}', which is not a regular file"
        if path.suffix.lower() in PICKLES:
            return f"left '{name}', a pickle, which can run code when it is read: use safetensors"
    return None if found else "left no files"
