"""Word times of a window's segments, and what they tell about invented text.

As `add_word_timestamps` of https://github.com/openai/whisper/blob/main/whisper/timing.py and the
rules of `hallucination_silence_threshold` in its transcribe.py have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from zoo.tasks import Word
from zoo_whisper.alignment import Timing
from zoo_whisper.segments import Part

SENTENCE_ENDS = ".。!！?？"  # noqa: RUF001
LONGEST_MEDIAN = 0.7
"""Seconds beyond which the median length of a word is not believed."""

PUNCTUATION = "\"'“¿([{-\"'.。,，!！?？:：”)]}、"  # noqa: RUF001


def place_words(
    parts: list[Part],
    timings: list[Timing],
    counts: Sequence[int],
    *,
    offset: float,
    last_speech: float,
    prepended: str,
    appended: str,
) -> None:
    """Give segments their words, and times from these.

    Args:
        parts: the segments of a window, which are changed.
        timings: its words.
        counts: tokens of text in each segment.
        offset: when the window begins, in seconds.
        last_speech: when the last word before it ended.
        prepended, appended: punctuation that belongs to the word after or before it.
    """
    usual = _usual_length(timings)
    longest = usual * 2
    _shorten_at_sentences(timings, longest)
    _merge_punctuation(timings, prepended, appended)
    number = 0
    for part, count in zip(parts, counts, strict=True):
        words, saved = list[_Word](), 0
        while number < len(timings) and saved < count:
            timing = timings[number]
            if timing.text:
                start, end = round(offset + timing.start, 2), round(offset + timing.end, 2)
                words.append(_Word(timing.text, start, end, timing.probability))
            saved += timing.count
            number += 1
        if words:
            _shorten_after_pause(words, usual, longest, last_speech)
            _fit(part, words, usual)
            last_speech = part.end
        part.words = [Word(w.text, w.start, w.end, w.probability) for w in words]


@dataclass
class _Word:
    text: str
    start: float
    end: float
    probability: float


def _usual_length(timings: list[Timing]) -> float:
    import numpy as np

    lengths = [t.end - t.start for t in timings if t.end != t.start]
    return min(LONGEST_MEDIAN, float(np.median(lengths))) if lengths else 0.0


def _shorten_at_sentences(timings: list[Timing], longest: float) -> None:
    if not any(t.end != t.start for t in timings):
        return
    for before, timing in pairwise(timings):
        if timing.end - timing.start > longest:
            if timing.text in SENTENCE_ENDS:
                timing.end = timing.start + longest
            elif before.text in SENTENCE_ENDS:
                timing.start = timing.end - longest


def _merge_punctuation(timings: list[Timing], prepended: str, appended: str) -> None:
    """Join marks to words; what was joined is left with no text."""
    after = len(timings) - 1
    for place in range(len(timings) - 2, -1, -1):
        mark, word = timings[place], timings[after]
        if mark.text.startswith(" ") and mark.text.strip() in prepended:
            word.text, word.count = mark.text + word.text, mark.count + word.count
            mark.text, mark.count = "", 0
        else:
            after = place
    before = 0
    for place in range(1, len(timings)):
        word, mark = timings[before], timings[place]
        if not word.text.endswith(" ") and mark.text in appended:
            word.text, word.count = word.text + mark.text, word.count + mark.count
            mark.text, mark.count = "", 0
        else:
            before = place


def _shorten_after_pause(
    words: list[_Word], usual: float, longest: float, last_speech: float
) -> None:
    """The first two words after a pause do not take the pause."""
    first, second = words[0], words[1] if len(words) > 1 else None
    if first.end - last_speech <= usual * 4:
        return
    if first.end - first.start <= longest and not (
        second and second.end - first.start > longest * 2
    ):
        return
    if second and second.end - second.start > longest:
        boundary = max(second.end / 2, second.end - longest)
        first.end = second.start = boundary
    first.start = max(0.0, first.end - longest)


def _fit(part: Part, words: list[_Word], usual: float) -> None:
    """Segment and words agree on their ends: the segment's where a word is far too long."""
    first, last = words[0], words[-1]
    if part.start < first.end and part.start - 0.5 > first.start:
        first.start = max(0.0, min(first.end - usual, part.start))
    else:
        part.start = first.start
    if part.end > last.start and part.end + 0.5 < last.end:
        last.end = max(last.start + usual, part.end)
    else:
        part.end = last.end


def last_word_end(parts: Sequence[Part]) -> float | None:
    """When the last word of a window ends; without words, its last segment."""
    for part in reversed(parts):
        for word in reversed(part.words):
            return word.end
    return parts[-1].end if parts else None


def is_anomaly(part: Part | None) -> bool:
    """Whether the words of a segment are very short, very long or improbable."""
    if part is None or not part.words:
        return False
    words = [word for word in part.words if word.text not in PUNCTUATION][:8]
    score = sum(map(_strangeness, words))
    return score >= 3 or score + 0.01 >= len(words)


def _strangeness(word: Any) -> float:
    length, score = word.end - word.start, 0.0
    if word.probability < 0.15:
        score += 1.0
    if length < 0.133:
        score += (0.133 - length) * 15
    if length > 2.0:
        score += length - 2.0
    return score


def first_invented(
    parts: Sequence[Part],
    *,
    threshold: float,
    last_speech: float,
    begin: float,
    end: float,
    window_end: float,
) -> int | None:
    """The first segment that is strange and has silence or strange text on both sides.

    Args:
        parts: the segments of a window.
        threshold: seconds without speech that count as silence.
        last_speech: when the last word before the window ended.
        begin, end: of the audio in the window, in seconds.
        window_end: where a full window would end.
    """
    for place, part in enumerate(parts):
        if not part.words:
            continue
        if is_anomaly(part):
            following = next((p for p in parts[place + 1 :] if p.words), None)
            next_start = following.words[0].start if following else end
            before = (
                part.start - last_speech > threshold
                or part.start < threshold
                or part.start - begin < 2.0
            )
            after = (
                next_start - part.end > threshold
                or is_anomaly(following)
                or window_end - part.end < 2.0
            )
            if before and after:
                return place
        last_speech = part.end
    return None
