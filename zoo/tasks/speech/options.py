"""The call options of speech recognition; names and defaults are those of openai-whisper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict

from zoo.tasks.options import SEED, CallOptions, option


@dataclass(frozen=True)
class TranscribeOptions(CallOptions):
    """How speech is turned into text."""

    language: str | None = option(
        "a code such as en; found in the first window when not given", default=None
    )
    task: Literal["transcribe", "translate"] = option(
        "transcribe, or translate into English", default="transcribe"
    )
    prompt: str = option("text that comes before, for names and spellings", default="")
    words: bool = option("whether each word gets its times", default=False)
    beams: int = option(
        "how many texts are followed at once; 1 takes the likeliest token each time",
        default=1,
        minimum=1,
        maximum=32,
    )
    temperature: tuple[float, ...] = option(
        "tried one after another, until a text is neither repetitive nor unlikely",
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        single=True,
        minimum=0,
        maximum=2,
    )
    compression_ratio_threshold: float = option(
        "a text that zlib shrinks by more is repetitive", default=2.4
    )
    logprob_threshold: float = option(
        "a text whose mean per token is lower is unlikely", default=-1.0
    )
    no_speech_threshold: float = option(
        "above this probability of silence, an unlikely text is left out",
        default=0.6,
        minimum=0,
        maximum=1,
    )
    condition_on_previous_text: bool = option(
        "whether the text so far is the prompt of the next window", default=True
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

    def validate(self) -> list[tuple[str, str]]:
        if not self.temperature:
            return [("temperature", "must be at least one number")]
        return []


class TranscribeArguments(TypedDict, total=False):
    """The fields of `TranscribeOptions`, as keywords of a call."""

    language: str | None
    task: Literal["transcribe", "translate"]
    prompt: str
    words: bool
    beams: int
    temperature: float | Sequence[float]
    compression_ratio_threshold: float
    logprob_threshold: float
    no_speech_threshold: float
    condition_on_previous_text: bool
    seed: int
