"""When each word is said, from the cross-attention of the decoder.

Dynamic time warping over the cross-attention of the alignment heads, normalized and smoothed by a
median, as https://github.com/openai/whisper (timing.py) does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo_whisper.config import FRAMES_PER_SECOND
from zoo_whisper.decoding import Listening
from zoo_whisper.vocabulary import Vocabulary


@dataclass
class Timing:
    """A word in its window: its text, how many tokens it has, seconds, and a probability."""

    text: str
    count: int
    start: float
    end: float
    probability: float


def align(
    window: Listening,
    vocabulary: Vocabulary,
    prompt: Sequence[int],
    tokens: Sequence[int],
    *,
    language: str,
    frames: int,
    smoothed: int,
) -> list[Timing]:
    """The words of one window in time.

    Args:
        window: what was encoded.
        prompt: the tokens from the transcript's start to its task.
        tokens: all text of the window, without timestamps.
        language: by which words are split.
        frames: of the encoder's output that hold audio.
        smoothed: frames over which the median is taken.
    """
    import numpy as np

    if not tokens:
        return []
    given = [*prompt, vocabulary.plain, *tokens, vocabulary.end]
    first = len(prompt)
    attention = np.asarray(window.attention(given), np.float64)[:, :, : max(1, frames)]
    attention = attention / attention.sum(-1, keepdims=True)
    spread = attention.std(1, keepdims=True)
    attention = (attention - attention.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    rows, columns = warp(-median(attention, smoothed).mean(0)[first:-1])
    starts = [int(columns[rows.index(row)]) for row in range(len(tokens) + 1)]
    chances = _chances(window, vocabulary, given, first, tokens)
    timings, place = [], 0
    for group in vocabulary.words(tokens, language):
        after = place + len(group)
        begin, end = starts[place] / FRAMES_PER_SECOND, starts[after] / FRAMES_PER_SECOND
        chance = float(np.mean(chances[place:after]))
        timings.append(Timing(vocabulary.decode(group), len(group), begin, end, chance))
        place = after
    return timings


def _chances(
    window: Listening, vocabulary: Vocabulary, given: list[int], first: int, tokens: Sequence[int]
) -> Any:
    """The probability of each token among those of text."""
    import numpy as np

    raw = np.asarray(window.begin().go_on(given), np.float64)[first : first + len(tokens)]
    raw[:, vocabulary.end : vocabulary.last + 1] = -np.inf
    logs = raw[np.arange(len(tokens)), list(tokens)] - np.logaddexp.reduce(raw, axis=-1)
    return np.exp(logs)


def median(attention: Any, width: int) -> Any:
    """The median over `width` frames, reflected at the ends; none of fewer than half as many."""
    import numpy as np

    half = width // 2
    if attention.shape[-1] <= half:
        return attention
    padded = np.pad(attention, ((0, 0), (0, 0), (half, half)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1)
    return np.sort(windows, axis=-1)[..., half]


def warp(costs: Any) -> tuple[list[int], list[int]]:
    """The cheapest monotonic path through (rows, columns): its rows and its columns.

    Computed by diagonals, each of which depends on the two before it.
    """
    import numpy as np

    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf, np.float32)
    total[0, 0] = 0
    came = np.full((rows + 1, columns + 1), 2, np.int8)
    came[:, 0], came[0, :] = 1, 2
    for diagonal in range(2, rows + columns + 1):
        row = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        column = diagonal - row
        both, up, left = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
        step = np.where((both < up) & (both < left), 0, np.where((up < both) & (up < left), 1, 2))
        least = np.choose(step, (both, up, left))
        total[row, column] = costs[row - 1, column - 1] + least
        came[row, column] = step
    at, to, path = rows, columns, []
    while at > 0 or to > 0:
        path.append((at - 1, to - 1))
        step_back = came[at, to] if at > 0 else 2
        at, to = at - (step_back != 2), to - (step_back != 1)
    path.reverse()
    return [row for row, _ in path], [column for _, column in path]
