"""Audio of any length as windows, of which little more than one is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zoo
from zoo.tasks import Audio


class Windows:
    """Windows that begin at any frame, in order.

    Args:
        audio: what is read.
        window: samples of a window.
        hop: samples of a frame.
        progress: receives the seconds done of audio longer than a window.
    """

    def __init__(self, audio: Audio, window: int, hop: int, progress: zoo.Progress) -> None:
        import numpy as np

        self._audio, self._window, self._hop, self._progress = audio, window, hop, progress
        self._blocks, self._held, self._first = audio.blocks(), np.empty(0, np.float32), 0
        self._long = False

    def at(self, frame: int, frames: int) -> Any:
        """The samples of at most so many whole frames from `frame` on, which never goes back."""
        place = frame * self._hop
        self._read(place + self._window, place)
        drop = min(place - self._first, len(self._held))
        self._held, self._first = self._held[drop:], self._first + drop
        self._long |= len(self._held) >= self._window
        count = min(frames * self._hop, self._window, len(self._held))
        return self._held[: count // self._hop * self._hop]

    def ends_before(self, frame: int) -> bool:
        """Whether the audio ends before `frame`."""
        place = frame * self._hop
        self._read(place, self._first)
        return self._first + len(self._held) < place

    def done(self, frame: int) -> None:
        """Tell that everything before `frame` is transcribed."""
        if not self._long:
            return
        end = self._first + len(self._held)
        through = round(min(frame * self._hop, end) / self._audio.rate)
        length = self._audio.seconds
        total = None if length is None else max(through, round(length))
        self._progress.update(through, total, "s")

    def _read(self, end: int, keep: int) -> None:
        """Hold the samples from `keep` up to `end`, where there are so many."""
        import numpy as np

        parts, held = [self._held], self._first + len(self._held)
        while held < end:
            block = next(self._blocks, None)
            if block is None:
                break
            held += len(block)
            if held <= keep:  # before a clip that begins far behind
                parts, self._first = [], held
            else:
                parts.append(block)
        self._held = np.concatenate(parts) if parts else np.empty(0, np.float32)


def clips(seconds: Sequence[float], rate: float) -> list[tuple[int, int | None]]:
    """Pairs of frames between which audio is transcribed; `None` is its end."""
    points: list[int | None] = [round(second * rate) for second in seconds] or [0]
    if len(points) % 2:
        points.append(None)
    return [(begin or 0, end) for begin, end in zip(points[::2], points[1::2], strict=True)]
