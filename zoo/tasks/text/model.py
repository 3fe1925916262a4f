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
        tokenizer: converts text to token ids and back.
        context: context length in tokens, prompt and generated text together; `None` if unknown.
        chat: whether prompts are chat turns by default; `None` to decide by whether the tokenizer
            has a chat template.

    Attributes:
        last: statistics of the last finished generation: tokens, seconds and the finish reason.
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
        """The number of tokens that the model has embeddings for; `None` if unknown."""
        return None

    @abstractmethod
    def tokens(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """Generate token ids. Subclasses implement it.

        The caller stops at end-of-text tokens and may stop early.

        Args:
            prompt: token ids, at least one.
            sampling: how to sample.

        Yields:
            At most `sampling.max_tokens` token ids that follow `prompt`.
        """

    @abstractmethod
    def logits(self, tokens: Sequence[int]) -> Any:
        """Compute the logits of the next token at each position. Subclasses implement it.

        Args:
            tokens: token ids, at least one.

        Returns: a float32 array of shape (len(tokens), vocabulary).

        Raises:
            InputError: a token has no embedding, or there are none.
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
        """Generate the text that follows a prompt.

        Args:
            prompt: text to continue, or the user's turn if `chat` is true.
            chat: whether to apply the chat template; by default as in the recipe.
            options: the options of `Sampling`.

        Returns: the generated text, without the prompt.

        Raises:
            InputError: the prompt is empty or longer than the context, an option is invalid, or the
                model has no chat template.
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
        """Generate text for several prompts, one after another.

        Args:
            prompts: the prompts; see `generate`.
            chat: as for `generate`.
            options: the options of `Sampling`, for all prompts.

        Returns: the generated texts, in order.

        Raises:
            InputError: as for `generate`. Prompts that are not text are reported before generation
                starts.
        """
        if isinstance(prompts, str):
            raise InputError("the prompts must be a list of strings", "for one, call generate")
        for prompt in prompts:
            _require_text(prompt)
        return [self.generate(prompt, chat=chat, **options) for prompt in prompts]

    @takes(Sampling)
    def stream(
        self, prompt: str, *, chat: bool | None = None, **options: Unpack[SamplingArguments]
    ) -> Iterator[str]:
        """Generate text like `generate`, and yield it in pieces.

        Errors are raised by the call, before iteration starts.

        Args:
            prompt: as for `generate`.
            chat: as for `generate`.
            options: the options of `Sampling`.

        Raises:
            InputError: as for `generate`.
        """
        if self.chat_by_default if chat is None else chat:
            return self.stream_chat(prompt, **options)
        _require_text(prompt)
        return self._write(self.encode(prompt), Sampling.of({**self.defaults, **options}))

    @takes(Sampling)
    def chat(self, messages: Messages, **options: Unpack[SamplingArguments]) -> str:
        """Generate the assistant's next turn of a chat.

        Args:
            messages: the user's turn, or all turns so far as `{"role": ..., "content": ...}`.
            options: the options of `Sampling`.

        Returns: the text of the turn.

        Raises:
            InputError: there are no messages, the model has no chat template or the template
                rejects them, or as for `generate`.
        """
        return "".join(self.stream_chat(messages, **options))

    @takes(Sampling)
    def stream_chat(
        self, messages: Messages, **options: Unpack[SamplingArguments]
    ) -> Iterator[str]:
        """Generate a turn like `chat`, and yield it in pieces.

        Errors are raised by the call, before iteration starts.

        Args:
            messages: as for `chat`.
            options: the options of `Sampling`.

        Raises:
            InputError: as for `chat`.
        """
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
        """Convert text to token ids, with the special tokens that the model expects first.

        Raises:
            InputError: the text cannot be encoded.
        """
        self.require_open()
        return self.tokenizer.encode(text)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text, special tokens included."""
        return len(self.encode(text))

    def require_tokens(self, tokens: Sequence[int]) -> None:
        """Raise an error if there are no tokens, or one has no embedding.

        Args:
            tokens: token ids.

        Raises:
            InputError: with the token.
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
