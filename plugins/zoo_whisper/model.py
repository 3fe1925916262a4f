"""Whisper in any format: what a format brings, and what all of them share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zoo
from zoo.tasks import Audio, Segments, TranscribeOptions
from zoo_whisper.config import FFT, FRAMES_PER_SECOND, HOP, WhisperConfig, read_whisper_config
from zoo_whisper.decoding import Listening
from zoo_whisper.loop import Loop
from zoo_whisper.vocabulary import Vocabulary


class WhisperModel(zoo.SpeechModel):
    """A Whisper: `listen` is what a format brings.

    Args:
        folder: with the config files and the tokenizer of the checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.config = read_whisper_config(folder)
        self.vocabulary = Vocabulary(folder, self.config.multilingual)
        _require_same_end(folder, self.config, self.vocabulary)
        self.rate, self.window = self.config.rate, self.config.window
        self._extractor = feature_extractor(self.config)

    @abstractmethod
    def listen(self, samples: Any) -> Listening:
        """Encode a window of samples: float32 of shape (window,)."""

    def features(self, samples: Any) -> Any:
        """The log-mel spectrogram of (window,) samples: float32 of (1, mels, 2 frames)."""
        found = self._extractor(samples, sampling_rate=self.rate, return_tensors="np")
        return found["input_features"]

    def encode(self, text: str) -> list[int]:
        language = "en" if "en" in self.vocabulary.languages else ""
        prompt = self.vocabulary.prompt(language, "transcribe")
        return [*prompt, self.vocabulary.plain, *self.vocabulary.encode(f" {text.strip()}")]

    def logits(self, samples: Any, tokens: Sequence[int]) -> Any:
        self.require_open()
        beyond = [token for token in tokens if not 0 <= token < self.config.vocabulary]
        if beyond or not 0 < len(tokens) <= self.config.context:
            raise zoo.InputError(
                f"tokens must be from 1 to {self.config.context} numbers from 0 to "
                f"{self.config.vocabulary - 1}"
            )
        return self.listen(samples).begin().go_on(tokens)

    def transcribe_segments(
        self, audio: Audio, options: TranscribeOptions, progress: zoo.Progress
    ) -> Segments:
        language, task = self._asked(options)
        return Loop(self, options, language, task).run(audio, progress)

    def _asked(self, options: TranscribeOptions) -> tuple[str | None, str]:
        """Language and task: the caller's, else the checkpoint's."""
        own_language, own_task = (
            self.vocabulary.name(value) if isinstance(value, int) else value
            for value in (self.config.language, self.config.task)
        )
        code = self.vocabulary.language_code
        language = code(options.language) if options.language else code(own_language)
        if language is None and not self.vocabulary.languages:
            language = "en"
        if language is not None and self.vocabulary.languages.get(language, 0) >= (
            self.config.vocabulary
        ):
            raise zoo.InputError(
                f"the model's vocabulary has no token for the language '{language}'"
            )
        task = options.task or own_task or "transcribe"
        self.vocabulary.require_task(task)
        return language, task


def feature_extractor(config: WhisperConfig) -> Any:
    """transformers' `WhisperFeatureExtractor` for a model."""
    from transformers import WhisperFeatureExtractor

    made = WhisperFeatureExtractor(
        feature_size=config.mels,
        sampling_rate=config.rate,
        hop_length=HOP,
        n_fft=FFT,
        chunk_length=config.frames // FRAMES_PER_SECOND,
    )
    made.n_samples, made.nb_max_frames = config.window, 2 * config.frames
    return made


def _require_same_end(folder: Path, config: WhisperConfig, vocabulary: Vocabulary) -> None:
    if vocabulary.plain >= config.vocabulary:
        raise zoo.IntegrityError(
            f"{folder}: the tokenizer has {vocabulary.size} tokens, and the model "
            f"{config.vocabulary}: they do not belong together"
        )
    if config.ends and vocabulary.end not in config.ends:
        raise zoo.IntegrityError(
            f"{folder}: eos_token_id in generation_config.json is {list(config.ends)}, and the "
            f"tokenizer ends a text with {vocabulary.end}"
        )
