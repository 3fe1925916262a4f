"""What a plugin's `run` returns, and what `zoo.load` hands out: models by task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import InputError, NotFound
from zoo.progress import Listener, Progress, silent
from zoo.schema import suggest

if TYPE_CHECKING:
    from typing import Self

    from zoo.audio import Audio
    from zoo.speech import Segment, Transcript
    from zoo.text import Tokenizer

Messages = str | Sequence[Mapping[str, str]]


class Model(ABC):
    """A running model: callable, and a context manager that frees what it holds."""

    ref = ""
    build = ""
    format = ""
    closed = False
    adapters: Sequence[str] = ()
    adapter: str | None = None
    defaults: Mapping[str, Any] = MappingProxyType({})
    """Options that the recipe gives when the caller does not."""

    @abstractmethod
    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the model is for: generate text, transcribe speech, draw a picture."""

    def use(self, adapter: str | None) -> None:
        """Go on with an adapter of `adapters`, or with `None`, the model itself.

        Raises:
            NotFound: it has no such adapter.
        """
        self.require_open()
        if adapter is not None and adapter not in self.adapters:
            known = ", ".join(self.adapters) or "none"
            raise NotFound(
                f"'{self.ref}' has no adapter '{adapter}'{suggest(adapter, self.adapters)}",
                f"its adapters: {known}",
            )
        self.switch(adapter)
        self.adapter = adapter

    def switch(self, adapter: str | None) -> None:
        """What `use` does beyond remembering; a model with `adapters` overrides it."""
        if adapter is not None:
            raise NotImplementedError(f"{type(self).__name__} cannot switch adapters")

    def close(self) -> None:
        """Free the weights. A closed model answers with an `InputError`."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def require_open(self) -> None:
        """Refuse to work after `close`."""
        if self.closed:
            raise InputError(f"'{self.ref}' is closed", "load it again with zoo.load")


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    Attributes:
        max_tokens: most tokens to write.
        temperature: 0 takes the likeliest token; 1 samples the model's own distribution.
        top_p: sample among the likeliest tokens that hold this share of the probability.
        top_k: sample among this many likeliest tokens; 0 for all.
        min_p: leave out tokens less likely than this share of the likeliest one's probability.
        seed: makes a run repeatable on the same machine and build.
        stop: texts before which writing ends.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        object.__setattr__(self, "stop", stops)
        for name, good, meaning in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature < float("inf"), "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("min_p", 0 <= self.min_p <= 1, "between 0 and 1"),
            ("stop", all(stops), "texts that are not empty"),
        ):
            if not good:
                raise InputError(f"{name} must be {meaning}, not {getattr(self, name)!r}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Sampling:
        """The sampling that keyword options ask for.

        Raises:
            InputError: an option that does not exist, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise InputError(f"there is no option '{name}'" + suggest(name, known))
        return cls(**options)


class TextModel(Model):
    """A language model. Implementers write `tokens` and `logits`; the rest comes with it.

    Args:
        tokenizer: turns text into token ids and back.
        context: most tokens that prompt and answer may have together, if known.
        chat: whether a bare prompt is a turn of a chat.
    """

    def __init__(self, tokenizer: Tokenizer, *, context: int | None, chat: bool = False) -> None:
        self.tokenizer, self.context, self.chat_by_default = tokenizer, context, chat

    @abstractmethod
    def tokens(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """Yield up to `sampling.max_tokens` token ids that follow `prompt`.

        End-of-text tokens need no care: the caller stops at them.
        """

    @abstractmethod
    def logits(self, tokens: Sequence[int]) -> Any:
        """For each position of `tokens`, the logits of the token after it.

        Returns: a float32 array of shape (len(tokens), vocabulary).
        """

    def __call__(self, prompt: str, *, chat: bool | None = None, **options: Any) -> str:
        return self.generate(prompt, chat=chat, **options)

    def generate(self, prompt: str, *, chat: bool | None = None, **options: Any) -> str:
        """The text that follows `prompt`; options are those of `Sampling`.

        Args:
            prompt: text to go on from, or a user's turn when `chat` is true.
            chat: whether to use the chat template; by default what the recipe says.

        Raises:
            InputError: an empty or overlong prompt, a bad option, a model without chat template.
        """
        return "".join(self.stream(prompt, chat=chat, **options))

    def stream(self, prompt: str, *, chat: bool | None = None, **options: Any) -> Iterator[str]:
        """As `generate`, piece by piece. A fault is raised at once, not at the first piece."""
        if self.chat_by_default if chat is None else chat:
            return self.stream_chat(prompt, **options)
        _require_text(prompt)
        return self._write(self.encode(prompt), Sampling.of({**self.defaults, **options}))

    def chat(self, messages: Messages, **options: Any) -> str:
        """The assistant's next turn.

        Args:
            messages: a user's turn, or all turns so far as `{"role": ..., "content": ...}`.
            options: those of `Sampling`.

        Raises:
            InputError: as for `generate`.
        """
        return "".join(self.stream_chat(messages, **options))

    def stream_chat(self, messages: Messages, **options: Any) -> Iterator[str]:
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

    def _write(self, prompt: list[int], sampling: Sampling) -> Iterator[str]:
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
        from zoo.text import until

        return until(sampling.stop, self._decoded(prompt, sampling))

    def _decoded(self, prompt: list[int], sampling: Sampling) -> Iterator[str]:
        step = self.tokenizer.decoder()
        ends = self.tokenizer.eos_ids
        for token in self.tokens(prompt, sampling):
            if token in ends:
                return
            if piece := step(token):
                yield piece


def _require_text(prompt: object) -> None:
    if not isinstance(prompt, str):
        raise InputError(f"the prompt must be text, not {type(prompt).__name__}")
    if not prompt:
        raise InputError("the prompt is empty", "give some text to go on from")


@dataclass(frozen=True)
class Hearing:
    """How speech is turned into text.

    Attributes:
        language: a code such as `en`; `None` finds it in the first window.
        task: `transcribe`, or `translate` into English.
        prompt: text that is taken to come before, for names and spellings.
        words: whether each word gets its times.
        beams: how many texts are followed at once; 1 takes the likeliest token each time.
        temperature: tried one after another, until a text is neither repetitive nor unlikely.
        compression_ratio: a text that zlib shrinks by more is repetitive.
        log_probability: a text whose mean per token is lower is unlikely.
        no_speech: above this probability of silence, an unlikely text is left out.
        previous: whether what was heard before is the prompt of the next window.
        seed: of the sampling at temperatures above 0.
    """

    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str = ""
    words: bool = False
    beams: int = 1
    temperature: float | Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    compression_ratio: float = 2.4
    log_probability: float = -1.0
    no_speech: float = 0.6
    previous: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.temperature
        steps = (given,) if isinstance(given, int | float) else tuple(given)
        object.__setattr__(self, "temperature", steps)
        for name, good, meaning in (
            ("task", self.task in ("transcribe", "translate"), "'transcribe' or 'translate'"),
            ("beams", 1 <= self.beams <= 32, "from 1 to 32"),
            ("no_speech", 0 <= self.no_speech <= 1, "from 0 to 1"),
        ):
            if not good:
                raise InputError(f"{name} must be {meaning}, not {getattr(self, name)!r}")
        if not steps or not all(0 <= t <= 2 for t in steps):
            raise InputError(f"temperature must be from 0 to 2, not {given!r}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Hearing:
        """What keyword options ask for.

        Raises:
            InputError: an option that does not exist, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise InputError(f"speech has no option '{name}'" + suggest(name, known))
        return cls(**options)


class SpeechModel(Model):
    """Speech to text. Implementers write `hear`, `encoded` and `logits`.

    Attributes:
        rate: samples in a second that the model takes.
        window: samples that it takes at once.
    """

    rate: int
    window: int

    @abstractmethod
    def hear(self, audio: Audio, hearing: Hearing, progress: Progress) -> Iterator[Segment]:
        """The segments in order, each as soon as it is known.

        A sound that fills a window tells `progress` how many of its seconds are through.
        """

    @abstractmethod
    def encoded(self, samples: Any) -> Any:
        """What the encoder makes of (window,) samples: float32 of shape (frames, width)."""

    @abstractmethod
    def logits(self, samples: Any, tokens: Sequence[int]) -> Any:
        """After each of `tokens`, given (window,) samples: float32 (tokens, vocabulary)."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The tokens that the decoder is given to say `text`, special ones and all."""

    def __call__(self, sound: Any, **options: Any) -> Transcript:
        return self.transcribe(sound, **options)

    def transcribe(
        self,
        sound: Any,
        *,
        sample_rate: int | None = None,
        listener: Listener = silent,
        **options: Any,
    ) -> Transcript:
        """What is said in a sound of any length.

        Args:
            sound: a path, an open binary file, or an array of samples (see `zoo.audio`).
            sample_rate: that of an array.
            listener: called with an `Event` after each window of a long sound; its unit is "s".
            options: those of `Hearing`.

        Raises:
            InputError: no sound, a language that the model does not know, a bad option.
        """
        from zoo.speech import Transcript

        heard = self.stream(sound, sample_rate=sample_rate, listener=listener, **options)
        segments = tuple(heard)
        return Transcript("".join(s.text for s in segments).strip(), segments, self.language)

    language = ""
    """Of what was heard last."""

    def stream(
        self,
        sound: Any,
        *,
        sample_rate: int | None = None,
        listener: Listener = silent,
        **options: Any,
    ) -> Iterator[Segment]:
        """As `transcribe`, segment by segment. A fault of the input is raised at once."""
        from zoo.audio import open_audio

        self.require_open()
        hearing = Hearing.of({**self.defaults, **options})
        audio = open_audio(sound, rate=self.rate, sample_rate=sample_rate)
        return self.hear(audio, hearing, Progress("hear", listener))
