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
    """Options of speech recognition. The algorithm and the defaults are those of openai-whisper.

    https://arxiv.org/abs/2212.04356, section 4.5, describes the thresholds and temperatures.
    """

    language: str | None = option(
        "language code or name, such as en or english; by default the checkpoint's, else detected "
        "in the first window",
        default=None,
    )
    task: Literal["transcribe", "translate"] | None = option(
        "transcribe, or translate to English; by default the checkpoint's, else transcribe",
        default=None,
    )
    prompt: str = option("initial prompt, for names and spellings", default="")
    carry_initial_prompt: bool = option("repeat the prompt before every window", default=False)
    prefix: str = option("text that every window starts with", default="")
    words: bool = option("word timestamps", default=False)
    beams: int = option(
        "beam size; 1 is greedy decoding",
        default=1,
        minimum=1,
        maximum=32,
    )
    patience: float | None = option(
        "beam search stops after beams * patience finished candidates", default=None, above=0
    )
    best_of: int | None = option(
        "number of candidates when sampling at a temperature above 0",
        default=None,
        minimum=1,
        maximum=32,
    )
    length_penalty: float | None = option(
        "length penalty exponent for ranking candidates; by default the mean per token",
        default=None,
        minimum=0,
        maximum=1,
    )
    temperature: tuple[float, ...] = option(
        "fallback temperatures, tried in order until a segment passes both thresholds",
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        single=True,
        minimum=0,
        maximum=2,
    )
    compression_ratio_threshold: float | None = option(
        "treat a segment with a higher gzip compression ratio as failed", default=2.4
    )
    logprob_threshold: float | None = option(
        "treat a segment with a lower mean log-probability as failed", default=-1.0
    )
    no_speech_threshold: float | None = option(
        "drop a failed segment if its no-speech probability is higher",
        default=0.6,
        minimum=0,
        maximum=1,
    )
    condition_on_previous_text: bool = option(
        "use the text so far as the prompt of the next window", default=True
    )
    clip_timestamps: tuple[float, ...] = option(
        "start,end,start,end... of the clips to transcribe, in seconds; the last end may be "
        "omitted",
        default=(0.0,),
        single=True,
        minimum=0,
    )
    hallucination_silence_threshold: float | None = option(
        "with word timestamps, skip longer silence around a likely hallucination, in seconds",
        default=None,
        minimum=0,
    )
    suppress_tokens: tuple[int, ...] = option(
        "token ids to suppress; -1 for the checkpoint's own list",
        default=(-1,),
        single=True,
    )
    suppress_blank: bool = option("suppress a blank at the start of a window", default=True)
    without_timestamps: bool = option("decode without timestamps", default=False)
    max_initial_timestamp: float | None = option(
        "latest first timestamp of a window, in seconds; by default the checkpoint's, else 1",
        default=None,
        minimum=0,
    )
    sample_len: int | None = option("maximum number of tokens per window", default=None, minimum=1)
    prepend_punctuations: str = option(
        "with word timestamps, punctuation merged with the next word", default=PREPENDED
    )
    append_punctuations: str = option(
        "with word timestamps, punctuation merged with the previous word", default=APPENDED
    )
    seed: int = option("random seed for temperatures above 0", default=0, **SEED)

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
