"""The segments of a window, and where the next window begins.

As in https://github.com/openai/whisper/blob/main/whisper/transcribe.py, in frames of the
spectrogram of 10 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.tasks import Word
from zoo_whisper.vocabulary import TIME_STEP, Vocabulary

FRAMES_PER_STEP = 2
"""Frames of the spectrogram from one timestamp to the next."""


@dataclass
class Part:
    """A segment in the making: times in seconds of the audio, timestamps among the tokens."""

    start: float
    end: float
    tokens: list[int]
    text: str
    words: list[Word] = field(default_factory=list)


@dataclass(frozen=True)
class Cut:
    """The segments of a window.

    Attributes:
        parts: in order.
        advance: frames from the window's beginning to the next.
        closed: whether one timestamp ends the text, after which nobody speaks.
    """

    parts: list[Part]
    advance: int
    closed: bool


def cut(
    tokens: tuple[int, ...], vocabulary: Vocabulary, offset: float, frames: int, rate: float
) -> Cut:
    """Cut the tokens of a window at pairs of timestamps.

    Text that is still open at the end is left for the next window.

    Args:
        tokens: of the window, without the prompt.
        offset: when the window begins, in seconds.
        frames: of the spectrogram in the window.
        rate: frames in a second.
    """
    times = [vocabulary.is_time(token) for token in tokens]
    closed = times[-2:] == [False, True]
    ends = [n + 1 for n in range(len(tokens) - 1) if times[n] and times[n + 1]]
    if not ends:
        stamps = [token for token in tokens if vocabulary.is_time(token)]
        length = frames / rate
        if stamps and stamps[-1] != vocabulary.zero:
            length = (stamps[-1] - vocabulary.zero) * TIME_STEP
        text = vocabulary.decode(tokens)
        return Cut([Part(offset, offset + length, list(tokens), text)], frames, closed)
    if closed:
        ends.append(len(tokens))
    parts, begin = [], 0
    for end in ends:
        piece = list(tokens[begin:end])
        first, last = (piece[place] - vocabulary.zero for place in (0, -1))
        start, stop = offset + first * TIME_STEP, offset + last * TIME_STEP
        parts.append(Part(start, stop, piece, vocabulary.decode(piece)))
        begin = end
    if closed:
        return Cut(parts, frames, closed)
    settled = (tokens[begin - 1] - vocabulary.zero) * FRAMES_PER_STEP
    return Cut(parts, settled, closed)
