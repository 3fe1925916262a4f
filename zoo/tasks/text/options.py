"""The call options of text generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypedDict

from zoo.tasks.options import SEED, CallOptions, option


@dataclass(frozen=True)
class Sampling(CallOptions):
    """Options of text generation: how tokens are sampled, and when generation stops.

    Filters apply to the distribution before the temperature, as in mlx-lm.
    """

    max_tokens: int = option("maximum number of tokens to generate", default=256, minimum=1)
    temperature: float = option(
        "sampling temperature; 0 is greedy decoding",
        default=0.0,
        minimum=0,
    )
    top_p: float = option(
        "nucleus sampling threshold (cumulative probability)",
        default=1.0,
        above=0,
        maximum=1,
    )
    top_k: int = option("sample from this many most likely tokens; 0 for all", default=0, minimum=0)
    min_p: float = option(
        "drop tokens below this fraction of the top token's probability",
        default=0.0,
        minimum=0,
        maximum=1,
    )
    seed: int | None = option(
        "random seed; repeats a run on the same machine and build", default=None, **SEED
    )
    stop: tuple[str, ...] = option(
        "strings before which generation stops",
        default=(),
        single=True,
        pattern=r"(?s).+",
        expected="text that is not empty",
    )

    peers: ClassVar[Mapping[str, str]] = {
        "max_new_tokens": "max_tokens",
        "max_length": "max_tokens",
        "max_completion_tokens": "max_tokens",
        "num_predict": "max_tokens",
        "n_predict": "max_tokens",
        "temp": "temperature",
        "do_sample": "temperature",
        "stop_strings": "stop",
        "stop_sequences": "stop",
        "generator": "seed",
        "random_state": "seed",
    }


class SamplingArguments(TypedDict, total=False):
    """The fields of `Sampling`, as keywords of a call."""

    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int | None
    stop: str | Sequence[str]
