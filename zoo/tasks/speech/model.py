"""Speech to text: what a model of speech is, and how speech is transcribed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from zoo.errors import InputError
from zoo.progress import Listener, Progress, silent
from zoo.tasks.model import Model
from zoo.tasks.speech.audio import Audio
from zoo.tasks.speech.transcript import Segment, Transcript
from zoo.words import suggest

Segments = Generator[Segment, None, str]
"""Segments as they are found; the generator returns the language."""


@dataclass(frozen=True)
class TranscribeOptions:
    """How speech is turned into text.

    Attributes:
        language: a code such as `en`; `None` finds it in the first window.
        task: `transcribe`, or `translate` into English.
        prompt: text that is taken to come before, for names and spellings.
        words: whether each word gets its times.
        beams: how many texts are followed at once; 1 takes the likeliest token each time.
        temperature: tried one after another, until a text is neither repetitive nor unlikely.
        compression_ratio_threshold: a text that zlib shrinks by more is repetitive.
        logprob_threshold: a text whose mean per token is lower is unlikely.
        no_speech_threshold: above this probability of silence, an unlikely text is left out.
        condition_on_previous_text: whether the text so far is the prompt of the next window.
        seed: of the sampling at temperatures above 0.
    """

    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    prompt: str = ""
    words: bool = False
    beams: int = 1
    temperature: float | Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    compression_ratio_threshold: float = 2.4
    logprob_threshold: float = -1.0
    no_speech_threshold: float = 0.6
    condition_on_previous_text: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.temperature
        steps = (given,) if isinstance(given, int | float) else tuple(given)
        object.__setattr__(self, "temperature", steps)
        for name, good, meaning in (
            ("task", self.task in ("transcribe", "translate"), "'transcribe' or 'translate'"),
            ("beams", 1 <= self.beams <= 32, "from 1 to 32"),
            ("no_speech_threshold", 0 <= self.no_speech_threshold <= 1, "from 0 to 1"),
        ):
            if not good:
                raise InputError(f"{name} must be {meaning}, not {getattr(self, name)!r}")
        if not steps or not all(0 <= t <= 2 for t in steps):
            raise InputError(f"temperature must be from 0 to 2, not {given!r}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TranscribeOptions:
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
    """Speech to text. Implementers write `transcribe_segments`, `encoded` and `logits`.

    Attributes:
        rate: samples in a second that the model takes.
        window: samples that it takes at once.
    """

    rate: int
    window: int

    @abstractmethod
    def transcribe_segments(
        self, audio: Audio, options: TranscribeOptions, progress: Progress
    ) -> Segments:
        """The segments in order, each as soon as it is known.

        A fault of the options is raised at once, not at the first segment. Audio that fills a
        window tells `progress` how many of its seconds are done.

        Returns: a generator that yields the segments and returns the language, such as `en`.
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
            options: those of `TranscribeOptions`.

        Raises:
            InputError: no sound, a language that the model does not know, a bad option.
        """
        found = self.stream(sound, sample_rate=sample_rate, listener=listener, **options)
        segments: list[Segment] = []
        while True:
            try:
                segments.append(next(found))
            except StopIteration as end:
                text = "".join(segment.text for segment in segments).strip()
                return Transcript(text, tuple(segments), end.value or "")

    def stream(
        self,
        sound: Any,
        *,
        sample_rate: int | None = None,
        listener: Listener = silent,
        **options: Any,
    ) -> Segments:
        """As `transcribe`, segment by segment. A fault of the input is raised at once.

        Returns: a generator that yields the segments and returns the language.
        """
        from zoo.tasks.speech.audio import open_audio

        self.require_open()
        asked = TranscribeOptions.of({**self.defaults, **options})
        audio = open_audio(sound, rate=self.rate, sample_rate=sample_rate)
        return self.transcribe_segments(audio, asked, Progress("transcribe", listener))
