"""Pictures as the safety checker of Stable Diffusion 1 sees them.

The checker, https://huggingface.co/CompVis/stable-diffusion-safety-checker, compares CLIP's
embedding of a picture with those of concepts; CLIP, https://arxiv.org/abs/2103.00020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_json

CHECKER = "safety_checker"
SETTINGS = Path("feature_extractor", "preprocessor_config.json")

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue in CLIP's training pictures."""

SIDE, BICUBIC = 224, 3

CONCEPTS, CARES = 17, 3
"""That a picture is compared with: what is flagged, and what makes the checker stricter."""


@dataclass(frozen=True)
class Look:
    """How a picture is prepared for CLIP.

    Attributes:
        edge: the length that the shorter side is brought to.
        crop: the side of the square that is cut out of the middle.
        mean, deviation: of each color, from 0 to 1.
        resample: how it is resized, by PIL's number.
    """

    edge: int = SIDE
    crop: int = SIDE
    mean: Sequence[float] = MEAN
    deviation: Sequence[float] = DEVIATION
    resample: int = BICUBIC

    @classmethod
    def read(cls, folder: Path) -> Look:
        """That of a pipeline's folder; CLIP's own where it has none.

        Raises:
            IntegrityError: the file is damaged.
        """
        if not (folder / SETTINGS).is_file():
            return cls()
        given = read_json(folder / SETTINGS)
        try:
            return cls(
                _side(given.get("size", SIDE)),
                _side(given.get("crop_size", SIDE)),
                tuple(map(float, given.get("image_mean", MEAN))),
                tuple(map(float, given.get("image_std", DEVIATION))),
                int(given.get("resample", BICUBIC)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise zoo.IntegrityError(f"{folder / SETTINGS} is invalid: {error}") from error

    def at(self, pictures: Sequence[Any]) -> Any:
        """PIL's pictures as float32 of shape (n, 3, crop, crop)."""
        import numpy as np

        seen = np.stack([np.asarray(self._middle(picture), np.float32) for picture in pictures])
        mean, deviation = np.asarray(self.mean, np.float32), np.asarray(self.deviation, np.float32)
        normed = (seen / np.float32(255) - mean) / deviation
        return np.ascontiguousarray(normed.transpose(0, 3, 1, 2))

    def _middle(self, picture: Any) -> Any:
        short = min(picture.size)
        wide, high = (int(self.edge * side / short) for side in picture.size)
        resized = picture.convert("RGB").resize((wide, high), self.resample)
        left, top = (wide - self.crop) // 2, (high - self.crop) // 2
        return resized.crop((left, top, left + self.crop, top + self.crop))


def _side(size: Any) -> int:
    """A length, which is given alone or by a name."""
    if isinstance(size, dict):
        size = size["shortest_edge"] if "shortest_edge" in size else size["height"]
    return int(size)
