"""Files of data formats, checked before the native readers of those formats see them."""

from __future__ import annotations

from pathlib import Path

from zoo.files import trust
from zoo.files.safetensors import read_header


def require_readable(path: Path) -> None:
    """Refuse a file that its format's own readers must not see; others pass.

    Raises:
        IntegrityError: what is wrong with it.
    """
    if path.suffix == ".safetensors":
        read_header(path)
    elif path.suffix in (".npy", ".npz"):
        trust.require_plain_numpy(path)
