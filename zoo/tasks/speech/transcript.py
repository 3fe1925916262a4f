"""Transcripts, and their forms for people and programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape


@dataclass(frozen=True)
class Word:
    """A word and when it is said, in seconds; `probability` is the model's own, from 0 to 1."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Segment:
    """A stretch of speech.

    Attributes:
        start, end: in seconds.
        text: what is said.
        words: each by itself, when they were asked for.
        avg_logprob: the mean log-probability of the tokens of its window; above -1 is usual.
        no_speech_prob: how likely the model thinks that nobody speaks, from 0 to 1.
        temperature: at which it was decoded; above 0 when a first try was given up.
        compression_ratio: how much zlib shrinks the text of its window; above 2.4 it repeats.
        tokens: of text and time, as the next window is given them.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    temperature: float = 0.0
    compression_ratio: float = 0.0
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """What was said.

    Attributes:
        text: all of it.
        segments: the same in order, with times.
        language: its code, such as `en`.
    """

    text: str
    segments: tuple[Segment, ...]
    language: str

    def __str__(self) -> str:
        return self.text

    def to_srt(self) -> str:
        """SubRip subtitles."""
        return "".join(
            f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_line(cue.text)}\n\n"
            for number, cue in enumerate(self.segments, 1)
        )

    def to_vtt(self) -> str:
        """WebVTT subtitles (https://www.w3.org/TR/webvtt1/)."""
        cues = "".join(
            f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
            f"{escape(_line(cue.text), quote=False)}\n\n"
            for cue in self.segments
        )
        return f"WEBVTT\n\n{cues}"

    def to_json(self) -> str:
        """A JSON document of all fields."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def _line(text: str) -> str:
    """A cue's text without what would end the cue."""
    return " ".join(text.split()).replace("-->", "->")


def _clock(seconds: float, mark: str) -> str:
    """`01:02:03,004`, with another mark before the milliseconds."""
    milliseconds = round(max(0.0, seconds) * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, rest = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{mark}{rest:03}"
