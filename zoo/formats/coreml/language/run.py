"""Run the program of a decoder, whatever shapes it takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from zoo.errors import InputError
from zoo.formats.coreml.execute.program import Functions, Mode, Program
from zoo.formats.coreml.language.mask import masks
from zoo.formats.coreml.language.spec import PACKAGE, DecoderSpec


class Decoder(Protocol):
    """What runs a build's packages."""

    adapters: tuple[str, ...]

    def switch(self, adapter: str | None) -> None:
        """Have the conversations that begin from now on use an adapter, or none."""

    def begin(self) -> Conversation:
        """A conversation of no tokens so far."""


class Conversation(ABC):
    """The state of one run through a decoder.

    Args:
        spec: the decoder's.
    """

    def __init__(self, spec: DecoderSpec) -> None:
        self.spec, self.length = spec, 0

    def go_on(self, tokens: Sequence[int], places: Sequence[int]) -> Any:
        """Logits after the tokens at `places` among `tokens`; (places, vocabulary).

        Raises:
            InputError: the state does not hold so many.
        """
        end = self.length + len(tokens)
        if end > self.spec.context:
            raise InputError(
                f"{end} tokens are more than the {self.spec.context} that this build holds",
                "shorten the text, or build with a larger option 'context'",
            )
        logits = self.read(tokens, places)
        self.length = end
        return logits

    @abstractmethod
    def read(self, tokens: Sequence[int], places: Sequence[int]) -> Any:
        """As `go_on`, where there is room."""


class FlexibleDecoder:
    """One program that takes any number of tokens.

    Args:
        program: has `make_state()` and `predict(inputs, state)`, which updates the state.
        spec: the decoder's.
        functions: of the program's package; those beside the default one are adapters.
    """

    def __init__(
        self, program: Program, spec: DecoderSpec, functions: Functions | None = None
    ) -> None:
        self.program, self.spec, self._functions = program, spec, functions
        self.adapters = tuple(functions.names[1:]) if functions else ()

    @classmethod
    def load(cls, folder: Path, spec: DecoderSpec, *, mode: Mode) -> FlexibleDecoder:
        """The decoder of the build in `folder`."""
        functions = Functions(folder / PACKAGE, mode=mode)
        return cls(functions.open(), spec, functions)

    def switch(self, adapter: str | None) -> None:
        if self._functions is not None:
            self.program = self._functions.open(adapter)

    def begin(self) -> Conversation:
        return _FlexibleConversation(self.program, self.spec)


class _FlexibleConversation(Conversation):
    def __init__(self, program: Program, spec: DecoderSpec) -> None:
        super().__init__(spec)
        self.program, self.state = program, program.make_state()

    def read(self, tokens: Sequence[int], places: Sequence[int]) -> Any:
        import numpy as np

        inputs = {
            "inputIds": np.array([tokens], np.int32),
            **masks(self.spec, len(tokens), self.length + len(tokens)),
            "logitIndices": np.array(places, np.int32),
        }
        return self.program.predict(inputs, self.state)["logits"][0]
