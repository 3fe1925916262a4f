"""Transcripts, and their file formats."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape


@dataclass(frozen=True)
class Word:
    """A word with its time.

    Attributes:
        text: the word, with the blank before it and its punctuation.
        start: start time, in seconds.
        end: end time, in seconds.
        probability: mean probability of its tokens, from 0 to 1.
    """

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Segment:
    """A segment of a transcript: a phrase with its time.

    Attributes:
        start: start time, in seconds.
        end: end time, in seconds.
        text: the text.
        words: the words with their times; empty unless word timestamps were requested.
        avg_logprob: mean log-probability of the tokens of its window; usually above -1.
        no_speech_prob: probability that the window has no speech, from 0 to 1.
        temperature: the temperature that it was decoded at.
        compression_ratio: zlib compression ratio of the text of its window; above 2.4 for text that
            repeats itself.
        tokens: token ids of the text and timestamps.
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
    """A transcript of audio.

    Attributes:
        text: the whole text.
        segments: the text in segments, with times.
        language: language code, such as `en`.
    """

    text: str
    segments: tuple[Segment, ...]
    language: str

    def __str__(self) -> str:
        return self.text

    def to_srt(self) -> str:
        """Format the transcript as SubRip subtitles (.srt)."""
        return "".join(
            f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_line(cue.text)}\n\n"
            for number, cue in enumerate(self.segments, 1)
        )

    def to_vtt(self) -> str:
        """Format the transcript as WebVTT subtitles (https://www.w3.org/TR/webvtt1/)."""
        cues = "".join(
            f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
            f"{escape(_line(cue.text), quote=False)}\n\n"
            for cue in self.segments
        )
        return f"WEBVTT\n\n{cues}"

    def to_json(self) -> str:
        """Format the transcript as a JSON document with all fields."""
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
