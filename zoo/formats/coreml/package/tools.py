"""coremltools, imported quietly and only in the version whose parts are known."""

from __future__ import annotations

import logging
import os
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from zoo.errors import MissingExtra

SUPPORTED = "9.0"
"""The version of coremltools whose private writer is known."""

MODEL_FILE = Path("Data/com.apple.CoreML/model.mlmodel")
WEIGHT_FILE = Path("Data/com.apple.CoreML/weights/weight.bin")


def load_coremltools() -> Any:
    """coremltools, without the warnings that it prints on systems without Core ML.

    Raises:
        MissingExtra: it is not installed, or of a version whose parts are not known.
    """
    logger = logging.getLogger("coremltools")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            import coremltools
    except ImportError as error:
        raise MissingExtra(
            f"coremltools cannot be imported: {error}", "pip install 'zoo-ml[coreml]'"
        ) from error
    finally:
        logger.setLevel(before)
    version: str = coremltools.__version__
    if not f"{version}.".startswith(f"{SUPPORTED}."):
        raise MissingExtra(
            f"coremltools {version} is installed; zoo writes weights by private parts of "
            f"coremltools {SUPPORTED}",
            f"pip install 'coremltools=={SUPPORTED}.*'",
        )
    return coremltools
