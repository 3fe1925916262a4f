"""`tiny`: the checkpoint of a family at toy size, as its own tools save it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from zoo.errors import NotFound
from zoo.registry.discovery import TINY, provider, providers


def tiny(family: str, folder: Path | None = None) -> Path:
    """Make a tiny checkpoint of a family, with random weights, of about a megabyte.

    A plugin provides the checkpoint of its family by the entry point group `zoo.tiny`: a function
    that receives the empty folder to write in. Other families must be model types of transformers,
    such as `llama` or `qwen2`; the checkpoint is their causal language model with a byte tokenizer.

    Args:
        family: the family.
        folder: an empty or missing folder to write in; by default a folder that is made once for
            the process and removed at its end, which must not be changed.

    Returns: the folder.

    Raises:
        NotFound: no plugin provides it, and transformers has no such model type.
        MissingExtra: the plugin that provides it requires packages that are not installed.
        BrokenPlugin: the plugin that provides it cannot be loaded.
    """
    if folder is None:
        return _shared(family)
    folder.mkdir(parents=True, exist_ok=True)
    if family in providers(TINY):
        origin = provider(TINY, family)
        origin.require()
        origin.load()(folder)
    else:
        _of_transformers(family, folder)
    return folder


@cache
def _shared(family: str) -> Path:
    root = Path(tempfile.mkdtemp(prefix="zoo-tiny-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return tiny(family, root / family)


def _of_transformers(family: str, folder: Path) -> None:
    try:
        from zoo.testing.checkpoints.text import knows, write_language_model
    except ImportError as error:
        raise NotFound(
            f"a tiny '{family}' needs transformers and torch: {error}",
            "pip install 'zoo-ml[torch]'",
        ) from error
    if not knows(family):
        raise NotFound(
            f"there is no tiny checkpoint of '{family}': transformers has no causal language model "
            "of that type",
            'let the plugin bring one by the entry point "zoo.tiny"',
        )
    write_language_model(family, folder)
