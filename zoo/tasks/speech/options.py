"""The call options of speech recognition; names and defaults are those of openai-whisper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict

from zoo.tasks.options import SEED, CallOptions, option

PREPENDED = "\"'“¿([{-"
APPENDED = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001
"""Punctuation that belongs to the word after it, and before it, as in openai-whisper."""


@dataclass(frozen=True)
class TranscribeOptions(CallOptions):
    """How speech is turned into text."""

    language: str | None = option(
        "a code such as en or a name such as english; without it that of the checkpoint, else "
        "found in the first window",
        default=None,
    )
    task: Literal["transcribe", "translate"] | None = option(
        "transcribe, or translate into English; without it that of the checkpoint, else transcribe",
        default=None,
    )
    prompt: str = option("text that comes before, for names and spellings", default="")
    carry_initial_prompt: bool = option(
        "whether the prompt stands before every window, not the first alone", default=False
    )
    prefix: str = option("text with which every window begins", default="")
    words: bool = option("whether each word gets its times", default=False)
    beams: int = option(
        "how many texts are followed at once; 1 takes the likeliest token each time",
        default=1,
        minimum=1,
        maximum=32,
    )
    patience: float | None = option(
        "beam search ends after beams * patience finished texts", default=None, above=0
    )
    best_of: int | None = option(
        "how many texts are sampled at temperatures above 0", default=None, minimum=1, maximum=32
    )
    length_penalty: float | None = option(
        "exponent of the length by which texts are ranked; without it, the mean per token",
        default=None,
        minimum=0,
        maximum=1,
    )
    temperature: tuple[float, ...] = option(
        "tried one after another, until a text is neither repetitive nor unlikely",
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        single=True,
        minimum=0,
        maximum=2,
    )
    compression_ratio_threshold: float | None = option(
        "a text that zlib shrinks by more is repetitive", default=2.4
    )
    logprob_threshold: float | None = option(
        "a text whose mean log-probability per token is lower is unlikely", default=-1.0
    )
    no_speech_threshold: float | None = option(
        "above this probability of silence, an unlikely text is left out",
        default=0.6,
        minimum=0,
        maximum=1,
    )
    condition_on_previous_text: bool = option(
        "whether the text so far is the prompt of the next window", default=True
    )
    clip_timestamps: tuple[float, ...] = option(
        "start, end, start, end ... in seconds of the parts to transcribe; the last end may be "
        "left out",
        default=(0.0,),
        single=True,
        minimum=0,
    )
    hallucination_silence_threshold: float | None = option(
        "with words, silence of more seconds around an improbable text is skipped",
        default=None,
        minimum=0,
    )
    suppress_tokens: tuple[int, ...] = option(
        "tokens that are never written; -1 stands for those of the checkpoint",
        default=(-1,),
        single=True,
    )
    suppress_blank: bool = option("whether a window may not begin with a blank", default=True)
    without_timestamps: bool = option("whether text has no times within a window", default=False)
    max_initial_timestamp: float | None = option(
        "the latest second of a window at which its text may begin; without it, that of the "
        "checkpoint, else 1",
        default=None,
        minimum=0,
    )
    sample_len: int | None = option("most tokens of a window", default=None, minimum=1)
    prepend_punctuations: str = option(
        "with words, punctuation that belongs to the next word", default=PREPENDED
    )
    append_punctuations: str = option(
        "with words, punctuation that belongs to the word before", default=APPENDED
    )
    seed: int = option("of the sampling at temperatures above 0", default=0, **SEED)

    peers: ClassVar[Mapping[str, str]] = {
        "word_timestamps": "words",
        "return_timestamps": "words",
        "beam_size": "beams",
        "num_beams": "beams",
        "initial_prompt": "prompt",
        "lang": "language",
        "log_prob_threshold": "logprob_threshold",
        "condition_on_prev_tokens": "condition_on_previous_text",
        "generator": "seed",
    }

    def __post_init__(self) -> None:
        for name, number in (("clip_timestamps", float), ("suppress_tokens", int)):
            if isinstance(given := getattr(self, name), str):
                try:
                    parts = tuple(number(part) for part in given.split(",") if part.strip())
                except ValueError:
                    continue  # named by the check of types
                object.__setattr__(self, name, parts)
        super().__post_init__()

    def validate(self) -> list[tuple[str, str]]:
        faults = []
        if not self.temperature:
            faults.append(("temperature", "must be at least one number"))
        if list(self.clip_timestamps) != sorted(self.clip_timestamps):
            faults.append(("clip_timestamps", "must not go back in time"))
        if self.patience is not None and self.beams == 1:
            faults.append(("patience", "needs more than one of the beams"))
        if self.hallucination_silence_threshold is not None and not self.words:
            faults.append(("hallucination_silence_threshold", "needs words=True"))
        return faults


class TranscribeArguments(TypedDict, total=False):
    """The fields of `TranscribeOptions`, as keywords of a call."""

    language: str | None
    task: Literal["transcribe", "translate"] | None
    prompt: str
    carry_initial_prompt: bool
    prefix: str
    words: bool
    beams: int
    patience: float | None
    best_of: int | None
    length_penalty: float | None
    temperature: float | Sequence[float]
    compression_ratio_threshold: float | None
    logprob_threshold: float | None
    no_speech_threshold: float | None
    condition_on_previous_text: bool
    clip_timestamps: str | float | Sequence[float]
    hallucination_silence_threshold: float | None
    suppress_tokens: str | int | Sequence[int]
    suppress_blank: bool
    without_timestamps: bool
    max_initial_timestamp: float | None
    sample_len: int | None
    prepend_punctuations: str
    append_punctuations: str
    seed: int
