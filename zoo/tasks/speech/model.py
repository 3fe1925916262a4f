"""Speech to text: what a model of speech is, and how speech is transcribed."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Generator, Sequence
from typing import Any, Unpack

from zoo.errors import InputError
from zoo.progress import Listener, Progress, silent
from zoo.tasks.model import Model
from zoo.tasks.options import takes
from zoo.tasks.speech.audio import Audio
from zoo.tasks.speech.options import TranscribeArguments, TranscribeOptions
from zoo.tasks.speech.transcript import Segment, Transcript

Segments = Generator[Segment, None, str]
"""Segments as they are found; the generator returns the language."""


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

    @takes(TranscribeOptions)
    def __call__(self, audio: Any, **options: Unpack[TranscribeArguments]) -> Transcript:
        return self.transcribe(audio, **options)

    @takes(TranscribeOptions)
    def transcribe(
        self,
        audio: Any,
        *,
        sample_rate: float | None = None,
        listener: Listener = silent,
        **options: Unpack[TranscribeArguments],
    ) -> Transcript:
        """What is said in audio of any length.

        Args:
            audio: a path, an open binary file, bytes, or samples in an array, list or dictionary
                (see `zoo.audio.open_audio`).
            sample_rate: that of samples which do not tell it.
            listener: called with an `Event` after each window of long audio; its unit is "s".
            options: those of `TranscribeOptions`.

        Raises:
            InputError: no audio, a language that the model does not know, a bad option.
        """
        found = self.stream(audio, sample_rate=sample_rate, listener=listener, **options)
        segments: list[Segment] = []
        while True:
            try:
                segments.append(next(found))
            except StopIteration as end:
                text = "".join(segment.text for segment in segments).strip()
                return Transcript(text, tuple(segments), end.value or "")

    @takes(TranscribeOptions)
    def transcribe_many(
        self,
        audios: Sequence[Any],
        *,
        sample_rate: float | None = None,
        listener: Listener = silent,
        **options: Unpack[TranscribeArguments],
    ) -> list[Transcript]:
        """What is said in each of several recordings, one after another.

        Args:
            audios: see `transcribe`.
            sample_rate: that of samples which do not tell it.
            listener: see `transcribe`.
            options: those of `TranscribeOptions`, for all of them.

        Raises:
            InputError: as for `transcribe`; before anything is transcribed where a file is missing.
        """
        from zoo.tasks.speech.audio import require_file

        if not isinstance(audios, list | tuple) or any(isinstance(a, int | float) for a in audios):
            raise InputError(
                "the recordings must be a list, such as of paths", "for one, call transcribe"
            )
        for audio in audios:
            if isinstance(audio, str | os.PathLike):
                require_file(audio)
        return [
            self.transcribe(audio, sample_rate=sample_rate, listener=listener, **options)
            for audio in audios
        ]

    @takes(TranscribeOptions)
    def stream(
        self,
        audio: Any,
        *,
        sample_rate: float | None = None,
        listener: Listener = silent,
        **options: Unpack[TranscribeArguments],
    ) -> Segments:
        """As `transcribe`, segment by segment. A fault of the input is raised at once.

        Returns: a generator that yields the segments and returns the language.
        """
        from zoo.tasks.speech.audio import open_audio

        self.require_open()
        asked = TranscribeOptions.of({**self.defaults, **options})
        progress = Progress("transcribe", listener)
        note = None if listener is silent else progress.note
        opened = open_audio(audio, rate=self.rate, sample_rate=sample_rate, note=note)
        return self.transcribe_segments(opened, asked, progress)
