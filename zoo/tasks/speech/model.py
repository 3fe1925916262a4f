"""The class of speech recognition models."""

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
"""A generator that yields segments and returns the language code."""


class SpeechModel(Model):
    """A speech recognition model.

    Subclasses implement `transcribe_segments`, `encoded`, `logits` and `encode`.

    Attributes:
        rate: sample rate of the model, in Hz.
        window: number of samples that the model processes at once.
    """

    rate: int
    window: int

    @abstractmethod
    def transcribe_segments(
        self, audio: Audio, options: TranscribeOptions, progress: Progress
    ) -> Segments:
        """Transcribe audio segment by segment. Subclasses implement it.

        Invalid options must raise when this is called, before iteration starts. After each window
        of audio that is longer than one, report the seconds processed to `progress`.

        Args:
            audio: the audio, at `rate`.
            options: how to transcribe.
            progress: receives the progress, in seconds.

        Returns: a generator that yields the segments in order and returns the language code.

        Raises:
            InputError: the model does not support an option, such as the language.
        """

    @abstractmethod
    def encoded(self, samples: Any) -> Any:
        """Compute the output of the encoder. Subclasses implement it.

        Args:
            samples: float32 of shape (window,).

        Returns: a float32 array of shape (frames, width).
        """

    @abstractmethod
    def logits(self, samples: Any, tokens: Sequence[int]) -> Any:
        """Compute the logits of the next token at each position. Subclasses implement it.

        Args:
            samples: float32 of shape (window,).
            tokens: token ids of the decoder, at least one.

        Returns: a float32 array of shape (len(tokens), vocabulary).
        """

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Convert text to the token ids of the decoder, special tokens included."""

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
        """Transcribe audio of any length.

        Args:
            audio: a path, an open binary file, bytes, or samples in an array, list or dictionary;
                see `zoo.tasks.open_audio`.
            sample_rate: sample rate in Hz of samples that do not include it.
            listener: called with an `Event` after each window of long audio, in seconds.
            options: the options of `TranscribeOptions`.

        Returns: the text, its segments with times, and the language.

        Raises:
            InputError: the audio cannot be read, the language is not supported, or an option is
                invalid.
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
        """Transcribe several recordings, one after another.

        Args:
            audios: the recordings; see `transcribe`.
            sample_rate: as for `transcribe`.
            listener: as for `transcribe`.
            options: the options of `TranscribeOptions`, for all recordings.

        Returns: the transcripts, in order.

        Raises:
            InputError: as for `transcribe`. Missing files are reported before transcription starts.
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
        """Transcribe audio like `transcribe`, and yield its segments.

        Errors are raised by the call, before iteration starts.

        Args:
            audio: as for `transcribe`.
            sample_rate: as for `transcribe`.
            listener: as for `transcribe`.
            options: the options of `TranscribeOptions`.

        Returns: a generator that yields the segments and returns the language code.

        Raises:
            InputError: as for `transcribe`.
        """
        from zoo.tasks.speech.audio import open_audio

        self.require_open()
        asked = TranscribeOptions.of({**self.defaults, **options})
        progress = Progress("transcribe", listener)
        note = None if listener is silent else progress.note
        opened = open_audio(audio, rate=self.rate, sample_rate=sample_rate, note=note)
        return self.transcribe_segments(opened, asked, progress)
