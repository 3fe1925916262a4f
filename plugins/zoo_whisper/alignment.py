"""When each word is said, from where the decoder looks while it writes.

Dynamic time warping over the cross-attention of the alignment heads, normalized and smoothed by a
median, as https://github.com/openai/whisper (timing.py) does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from zoo.tasks import Word
from zoo_whisper.config import FRAMES_PER_SECOND
from zoo_whisper.decoding import Listening
from zoo_whisper.vocabulary import Vocabulary

SMOOTHED = 7
"""Frames over which the median is taken."""


class Alignment:
    """The texts of one window in time.

    Args:
        heard: the window.
        prompt: the tokens before the text.
        tokens: all text of the window, without timestamps.
        frames: of the window that hold sound.
    """

    def __init__(
        self,
        heard: Listening,
        vocabulary: Vocabulary,
        prompt: Sequence[int],
        tokens: Sequence[int],
        frames: int,
    ) -> None:
        import numpy as np

        self._vocabulary = vocabulary
        begin = list(prompt).index(vocabulary.start)
        given = [*prompt[begin:], vocabulary.plain, *tokens, vocabulary.end]
        first = len(given) - len(tokens) - 1
        looks = np.asarray(heard.attention(given), np.float64)[:, :, : max(2, frames)]
        looks = (looks - looks.mean(1, keepdims=True)) / (looks.std(1, keepdims=True) + 1e-9)
        rows, columns = _warp(-_median(looks).mean(0)[first - 1 : -1])
        self._starts = [int(columns[rows.index(row)]) for row in range(len(tokens) + 1)]
        raw = np.asarray(heard.begin().go_on(given), np.float64)[first - 1 : -2]
        chances = raw[np.arange(len(tokens)), list(tokens)] - np.logaddexp.reduce(raw, axis=-1)
        self._chances = np.exp(chances)

    def words(
        self, place: int, tokens: Sequence[int], span: tuple[float, float], offset: float
    ) -> Iterator[Word]:
        """The words of a segment, which stay within it.

        Args:
            place: how many tokens of the window come before it.
            tokens: the segment's.
            span: when it begins and ends within the window, in seconds.
            offset: when the window begins.
        """
        for group in self._vocabulary.words(tokens):
            after = place + len(group)
            times = (
                self._starts[place] / FRAMES_PER_SECOND,
                self._starts[after] / FRAMES_PER_SECOND,
            )
            start, end = (offset + min(max(time, span[0]), span[1]) for time in times)
            chance = float(self._chances[place:after].mean())
            yield Word(self._vocabulary.decode(group), round(start, 2), round(end, 2), chance)
            place = after


def _median(looks: Any) -> Any:
    import numpy as np

    half = SMOOTHED // 2
    mode = "reflect" if looks.shape[-1] > half else "edge"
    padded = np.pad(looks, ((0, 0), (0, 0), (half, half)), mode=mode)  # type: ignore[call-overload]
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED, axis=-1)
    return np.median(windows, axis=-1)


def _warp(costs: Any) -> tuple[list[int], list[int]]:
    """The cheapest monotonic path through (rows, columns): its rows and its columns."""
    import numpy as np

    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    came = np.zeros((rows + 1, columns + 1), np.int8)
    for column in range(1, columns + 1):
        for row in range(1, rows + 1):
            before = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
            came[row, column] = step = int(np.argmin(before))
            total[row, column] = costs[row - 1, column - 1] + before[step]
    row, column, path = rows, columns, []
    while row > 0 and column > 0:
        path.append((row - 1, column - 1))
        step = came[row, column]
        row, column = row - (step != 2), column - (step != 1)
    path.reverse()
    return [row for row, _ in path], [column for _, column in path]
