"""Core ML language models, behind zoo's `TextModel`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from zoo.errors import InputError
from zoo.formats.coreml.execute.program import Functions, Mode, Program
from zoo.formats.coreml.language.spec import PACKAGE, DecoderSpec, read_spec
from zoo.formats.sampling import Sampler
from zoo.tasks.text.model import TextModel
from zoo.tasks.text.options import Sampling
from zoo.tasks.text.tokenizer import Tokenizer

CHUNK = 256
"""Tokens of a prompt that go through the model at once."""

MASKED = -4e4
"""What is added to a score of attention where a token must not see another.

Its exponential is 0 beside any other score, and float16 holds the sum for scores down to -25,504;
the lowest number of float16 overflows for scores below -16, and hardware turns minus infinity into
not-a-number.
"""


class CoreMLTextModel(TextModel):
    """A build of `zoo.formats.coreml.language.convert`: package, tokenizer, `config.json`, spec.

    Args:
        program: has `make_state()` and `predict(inputs, state)`, which updates the state.
        spec: the decoder's.
        tokenizer, context, chat: as for `TextModel`.
        functions: of the program's package; those beside the default one are adapters.
    """

    def __init__(
        self,
        program: Program,
        spec: DecoderSpec,
        tokenizer: Tokenizer,
        *,
        context: int | None = None,
        chat: bool | None = False,
        functions: Functions | None = None,
    ) -> None:
        room = min(spec.context, context or spec.context)
        super().__init__(tokenizer, context=room, chat=chat)
        self._program, self._spec, self._functions = program, spec, functions
        self.adapters = tuple(functions.names[1:]) if functions else ()

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        context: int | None = None,
        chat: bool | None = False,
        mode: Mode = "fp16",
    ) -> Self:
        """Load the build in `folder`.

        Args:
            folder: a finished build.
            context: most tokens, where that is less than the state holds.
            chat: whether a bare prompt is a turn of a chat.
            mode: precision of the reference executor, on systems without Core ML.

        Raises:
            IntegrityError: the build is damaged.
        """
        spec = read_spec(folder)
        functions = Functions(folder / PACKAGE, mode=mode)
        tokenizer = Tokenizer(folder)
        return cls(
            functions.open(), spec, tokenizer, context=context, chat=chat, functions=functions
        )

    def switch(self, adapter: str | None) -> None:
        if self._functions is not None:
            self._program = self._functions.open(adapter)

    def close(self) -> None:
        super().close()
        self.drop("_program", "_functions")

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

    def _begin(self, tokens: Sequence[int]) -> _Conversation:
        if not tokens:
            raise InputError("there are no tokens to continue from")
        outside = [t for t in tokens if not 0 <= t < self._spec.vocabulary]
        if outside:
            raise InputError(f"token {outside[0]} is not below {self._spec.vocabulary}")
        return _Conversation(self._program, self._spec)


class _Conversation:
    """The state of one run through the model."""

    def __init__(self, program: Program, spec: DecoderSpec) -> None:
        self.program, self.spec = program, spec
        self.state, self.length = program.make_state(), 0

    def go_on(self, tokens: Sequence[int], places: Sequence[int]) -> Any:
        """Logits after the tokens at `places` among `tokens`; (places, vocabulary).

        Raises:
            InputError: the state does not hold so many.
        """
        import numpy as np

        end = self.length + len(tokens)
        if end > self.spec.context:
            raise InputError(
                f"{end} tokens are more than the {self.spec.context} that this build holds",
                "shorten the text, or build with a larger option 'context'",
            )
        inputs = {
            "inputIds": np.array([tokens], np.int32),
            "causalMask": causal_mask(len(tokens), end, self.spec.window),
            "logitIndices": np.array(places, np.int32),
        }
        logits = self.program.predict(inputs, self.state)["logits"]
        self.length = end
        return logits[0]


def causal_mask(given: int, end: int, window: int | None = None) -> Any:
    """The mask for the last `given` of `end` tokens, each of which sees itself and those before.

    Args:
        given: number of tokens given.
        end: number of tokens up to the last of them.
        window: how many tokens each sees, itself among them; `None` for all.

    Returns: float16 of shape (1, 1, given, end), 0 where a token sees another, elsewhere `MASKED`.
    """
    import numpy as np

    back = np.arange(end - given, end)[:, None] - np.arange(end)[None, :]
    seen = back >= 0
    if window:
        seen &= back < window
    return np.where(seen, 0, MASKED).astype(np.float16)[None, None]


def _chunks(tokens: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (tokens[start : start + size] for start in range(0, len(tokens), size))
