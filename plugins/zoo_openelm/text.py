"""What OpenELM wants of its prompts, in every format."""

from __future__ import annotations

import zoo


class Prompted(zoo.TextModel):
    """A mixin by which every text begins with `bos`: OpenELM was trained so.

    Whether a tokenizer adds that token is up to its files; those of Llama 2 come in both kinds.
    """

    bos: int

    def encode(self, text: str) -> list[int]:
        ids = super().encode(text)
        return ids if ids[:1] == [self.bos] else [self.bos, *ids]
