"""Text generation: the model class of language models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Unpack

from zoo.errors import InputError
from zoo.tasks.model import Model
from zoo.tasks.options import takes
from zoo.tasks.text.options import Sampling, SamplingArguments
from zoo.tasks.text.statistics import Counter, Generation
from zoo.tasks.text.tokenizer import Tokenizer

Messages = str | Sequence[Mapping[str, str]]


class TextModel(Model):
    """A language model. Subclasses implement `tokens` and `logits`.

    Args:
        tokenizer: turns text into token ids and back.
        context: context length, in tokens, of the prompt and the generated text, if known.
        chat: whether a prompt is a chat turn by default; `None`: if the tokenizer has a chat
            template, as instruction-tuned checkpoints have.
    """

    last: Generation | None = None
    """Statistics of the last generation, after it has finished."""

    def __init__(
        self, tokenizer: Tokenizer, *, context: int | None, chat: bool | None = False
    ) -> None:
        self.tokenizer, self.context = tokenizer, context
        self.chat_by_template = chat is None and tokenizer.has_chat_template
        """Whether a prompt is a chat turn only because the tokenizer has a chat template."""
        self.chat_by_default = self.chat_by_template if chat is None else chat

    @property
    def vocabulary(self) -> int | None:
        """The number of tokens that the model has embeddings for, if known."""
        return None

    @abstractmethod
    def tokens(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """Yield up to `sampling.max_tokens` token ids that follow `prompt`.

        The caller stops at end-of-text tokens.
        """

    @abstractmethod
    def logits(self, tokens: Sequence[int]) -> Any:
        """For each position of `tokens`, the logits of the token after it.

        Returns: a float32 array of shape (len(tokens), vocabulary).
        """

    @takes(Sampling)
    def __call__(
        self, prompt: str, *, chat: bool | None = None, **options: Unpack[SamplingArguments]
    ) -> str:
        return self.generate(prompt, chat=chat, **options)

    @takes(Sampling)
    def generate(
        self, prompt: str, *, chat: bool | None = None, **options: Unpack[SamplingArguments]
    ) -> str:
        """Generate the text that follows `prompt`; options are those of `Sampling`.

        Args:
            prompt: text to continue, or a user's turn when `chat` is true.
            chat: whether to apply the chat template; by default as in the recipe.

        Raises:
            InputError: an empty or overlong prompt, a bad option, a model without chat template.
        """
        return "".join(self.stream(prompt, chat=chat, **options))

    @takes(Sampling)
    def generate_many(
        self,
        prompts: Sequence[str],
        *,
        chat: bool | None = None,
        **options: Unpack[SamplingArguments],
    ) -> list[str]:
        """Generate the text that follows each of several prompts, one after another.

        Args:
            prompts: see `generate`.
            chat: see `generate`.
            options: those of `Sampling`, for all of them.

        Raises:
            InputError: as for `generate`; a prompt that is no text, before generation starts.
        """
        if isinstance(prompts, str):
            raise InputError("the prompts must be a list of texts", "for one, call generate")
        for prompt in prompts:
            _require_text(prompt)
        return [self.generate(prompt, chat=chat, **options) for prompt in prompts]

    @takes(Sampling)
    def stream(
        self, prompt: str, *, chat: bool | None = None, **options: Unpack[SamplingArguments]
    ) -> Iterator[str]:
        """As `generate`, but yields text in pieces. The call raises errors, not the iterator."""
        if self.chat_by_default if chat is None else chat:
            return self.stream_chat(prompt, **options)
        _require_text(prompt)
        return self._write(self.encode(prompt), Sampling.of({**self.defaults, **options}))

    @takes(Sampling)
    def chat(self, messages: Messages, **options: Unpack[SamplingArguments]) -> str:
        """The assistant's next turn.

        Args:
            messages: a user's turn, or all turns so far as `{"role": ..., "content": ...}`.
            options: those of `Sampling`.

        Raises:
            InputError: as for `generate`.
        """
        return "".join(self.stream_chat(messages, **options))

    @takes(Sampling)
    def stream_chat(
        self, messages: Messages, **options: Unpack[SamplingArguments]
    ) -> Iterator[str]:
        """As `chat`, piece by piece."""
        if isinstance(messages, str):
            _require_text(messages)
            messages = [{"role": "user", "content": messages}]
        if not messages:
            raise InputError("the chat has no messages")
        self.require_open()
        return self._write(
            self.tokenizer.render(messages), Sampling.of({**self.defaults, **options})
        )

    def encode(self, text: str) -> list[int]:
        """The token ids of `text`, with the special tokens that the model wants before it."""
        self.require_open()
        return self.tokenizer.encode(text)

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(self.encode(text))

    def require_tokens(self, tokens: Sequence[int]) -> None:
        """Refuse tokens that the model has no embedding for, or none at all.

        Raises:
            InputError: which token it is.
        """
        if not len(tokens):
            raise InputError("there are no tokens to continue from")
        size = self.vocabulary
        if size is not None and not 0 <= (worst := max(tokens)) < size:
            raise InputError(
                f"the tokenizer gives the token {worst}, and '{self.ref}' has embeddings for "
                f"{size}",
                "the tokenizer has tokens that the model was not trained with",
            )

    def _write(self, prompt: list[int], sampling: Sampling) -> Iterator[str]:
        self.require_tokens(prompt)
        if self.context is not None:
            room = self.context - len(prompt)
            if room < 1:
                raise InputError(
                    f"the prompt has {len(prompt)} tokens, and '{self.ref}' takes "
                    f"at most {self.context - 1}",
                    "shorten the prompt",
                )
            sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        return self._pieces(prompt, sampling)

    def _pieces(self, prompt: list[int], sampling: Sampling) -> Iterator[str]:
        from zoo.tasks.text.tokenizer import until

        counter, self.last = Counter(len(prompt)), None
        yield from until(sampling.stop, self._decoded(prompt, sampling, counter))
        self.last = counter.result(sampling.max_tokens)

    def _decoded(self, prompt: list[int], sampling: Sampling, counter: Counter) -> Iterator[str]:
        decoder = self.tokenizer.decoder(prompt)
        ends = self.tokenizer.ends(sampling.stop)
        for token in islice(self.tokens(prompt, sampling), sampling.max_tokens):
            if token in ends:
                counter.ended = True
                break
            counter.count()
            if piece := decoder.step(token):
                yield piece
        counter.exhausted = True
        if piece := decoder.finish():
            yield piece


def _require_text(prompt: object) -> None:
    if not isinstance(prompt, str):
        raise InputError(f"the prompt must be text, not {type(prompt).__name__}")
    if not prompt:
        raise InputError("the prompt is empty", "give some text to continue")
