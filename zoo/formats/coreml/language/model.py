"""Core ML language models, behind zoo's `TextModel`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from zoo.errors import InputError
from zoo.formats.coreml.execute.program import Mode
from zoo.formats.coreml.language.neural_engine.manifest import MANIFEST_FILE
from zoo.formats.coreml.language.neural_engine.run import StaticDecoder
from zoo.formats.coreml.language.run import Conversation, Decoder, FlexibleDecoder
from zoo.formats.coreml.language.spec import DecoderSpec, read_spec
from zoo.formats.sampling import Sampler
from zoo.tasks.text.model import TextModel
from zoo.tasks.text.options import Sampling
from zoo.tasks.text.tokenizer import Tokenizer

CHUNK = 256
"""Tokens of a prompt that go through the model at once."""


class CoreMLTextModel(TextModel):
    """A language model in Core ML: its packages, tokenizer, `config.json` and specification.

    Args:
        decoder: runs the packages of the build.
        spec: the specification of the decoder.
        tokenizer: as for `zoo.TextModel`.
        context: as for `zoo.TextModel`.
        chat: as for `zoo.TextModel`.
    """

    def __init__(
        self,
        decoder: Decoder,
        spec: DecoderSpec,
        tokenizer: Tokenizer,
        *,
        context: int | None = None,
        chat: bool | None = False,
    ) -> None:
        room = min(spec.context, context or spec.context)
        super().__init__(tokenizer, context=room, chat=chat)
        self._decoder, self._spec = decoder, spec
        self.adapters = decoder.adapters

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        context: int | None = None,
        chat: bool | None = False,
        mode: Mode = "fp16",
    ) -> Self:
        """Load a build that `convert_decoder` made.

        Args:
            folder: the folder of the build.
            context: context length in tokens, if less than the state holds.
            chat: as for `zoo.TextModel`.
            mode: precision of the reference executor, on systems without Core ML.

        Raises:
            IntegrityError: the build is damaged.
        """
        spec, tokenizer = read_spec(folder), Tokenizer(folder, chat=chat)
        decoder: Decoder
        if (folder / MANIFEST_FILE).is_file():
            decoder = StaticDecoder(folder, spec, mode=mode)
        else:
            decoder = FlexibleDecoder.load(folder, spec, mode=mode)
        return cls(decoder, spec, tokenizer, context=context, chat=chat)

    def switch(self, adapter: str | None) -> None:
        self._decoder.switch(adapter)

    def close(self) -> None:
        super().close()
        self.drop("_decoder")

    def tokens(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        self.require_open()
        choose, conversation = Sampler(sampling), self._begin(prompt)
        last = None
        for chunk in _chunks(prompt, CHUNK):
            last = conversation.go_on(chunk, [len(chunk) - 1])[0]
        for written in range(1, sampling.max_tokens + 1):
            token = choose(last)
            yield token
            if written < sampling.max_tokens:
                last = conversation.go_on([token], [0])[0]

    def logits(self, tokens: Sequence[int]) -> Any:
        self.require_open()
        import numpy as np

        conversation = self._begin(tokens)
        found = [conversation.go_on(chunk, range(len(chunk))) for chunk in _chunks(tokens, CHUNK)]
        return np.concatenate(found).astype(np.float32)

    def _begin(self, tokens: Sequence[int]) -> Conversation:
        if not tokens:
            raise InputError("there are no tokens to continue from")
        outside = [t for t in tokens if not 0 <= t < self._spec.vocabulary]
        if outside:
            raise InputError(f"token {outside[0]} is not below {self._spec.vocabulary}")
        return self._decoder.begin()


def _chunks(tokens: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (tokens[start : start + size] for start in range(0, len(tokens), size))
