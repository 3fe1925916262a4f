"""What a build for the Neural Engine has beside its programs: sizes, names, and embeddings.

The embeddings of tokens and positions are the tensors `tokens` (vocabulary, width) and `positions`
(context, width) of a safetensors file, in float16. An app adds a row of each for every token.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from zoo.formats import Tensors
from zoo.formats.coreml import MASKED
from zoo_whisper.config import WhisperConfig

EMBEDDINGS = "embeddings.safetensors"

WIDEST = 16_384
"""The longest axis that the Neural Engine takes."""

ALIGNED = 32
"""What the last axis of a state is a multiple of."""


def state_length(config: WhisperConfig) -> int:
    """Positions of the caches."""
    return ceil(config.context / ALIGNED) * ALIGNED


def logits_names(config: WhisperConfig) -> list[str]:
    """The names of the parts of the logits, in the order of the vocabulary."""
    return [f"logits{number + 1}" for number in range(ceil(config.vocabulary / WIDEST))]


def write_embeddings(path: Path, tokens: Any, positions: Any) -> None:
    """Write the embeddings, NumPy arrays, as float16."""
    import numpy as np
    from safetensors.numpy import save_file

    given = {"tokens": tokens, "positions": positions}
    save_file({name: array.astype(np.float16) for name, array in given.items()}, path)


class Embeddings:
    """The embeddings of a build, whose rows are read when they are asked for.

    Args:
        path: of the file.

    Raises:
        zoo.IntegrityError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._tensors = Tensors(path.parent, [path])

    def inputs(self, token: int, position: int, length: int) -> Mapping[str, Any]:
        """What the decoder is given for a token at a position of caches of some length."""
        import numpy as np

        rows = [
            self._tensors.read_rows(name, place, place + 1)
            for name, place in (("tokens", token), ("positions", position))
        ]
        mask = np.full((1, 1, 1, length), MASKED, np.float16)
        mask[..., : position + 1] = 0
        update = np.zeros((1, 1, 1, length), np.float16)
        update[..., position] = 1
        return {
            "hiddenStates": (rows[0] + rows[1])[None, None].astype(np.float16),
            "causalMask": mask,
            "cacheUpdateMask": update,
        }
