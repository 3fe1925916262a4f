"""Audio in blocks, mixed to one channel and resampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1 << 20
"""Numbers in memory at once, of all channels together."""

LOUDEST = 1e12
"""Samples beyond are not audio, but what a decoder made of a damaged file."""

NEAR = 1e-6
"""Relative difference of two rates that are one."""


LOWEST_RATE, HIGHEST_RATE = 1, 10_000_000
"""Samples in a second that a recording may have."""

Note = Callable[[str], None]
"""Called with a sentence about what was left out of a damaged file."""


@dataclass(frozen=True)
class Audio:
    """Audio that is read in blocks.

    Attributes:
        rate: sample rate, in Hz.
        seconds: duration in seconds; `None` if it is not known before reading.
        name: name of the audio in messages.
    """

    rate: int
    seconds: float | None
    name: str
    _read: Callable[[], Iterator[Any]]

    def blocks(self) -> Iterator[np.ndarray]:
        """Read the samples in order.

        Yields:
            float32 arrays of shape (samples,), mixed to one channel.

        Raises:
            InputError: no part of the audio can be decoded, or samples are NaN or infinite.
        """
        yield from self._read()


def resampled(pieces: Iterator[tuple[Any, float]], rate: int, name: str) -> Iterator[Any]:
    """Mix pieces of samples to one channel and convert them to `rate`.

    Args:
        pieces: arrays of shape (samples,) or (samples, channels), each with its own rate.
        rate: samples in a second of the result.
        name: of the audio, for messages.

    Raises:
        InputError: a piece holds samples that are not finite numbers, or far too large.
    """
    import numpy as np

    converter = _Converter(rate)
    for piece, source in pieces:
        mono = (piece.mean(-1) if piece.ndim == 2 else piece).astype(np.float32)
        if not np.isfinite(mono).all():
            raise InputError(f"{name} has samples that are NaN or infinite")
        if mono.size and np.abs(mono).max() > LOUDEST:
            raise InputError(f"{name} is damaged: it holds samples far too large for audio")
        yield from converter.convert(mono, source)
    yield from converter.finish()


class _Converter:
    """The SoX resampler (https://github.com/dofuuz/python-soxr), a new one for each rate."""

    def __init__(self, rate: int) -> None:
        self._rate, self._source, self._stream = rate, 0.0, None

    def convert(self, samples: Any, source: float) -> Iterator[Any]:
        if source != self._source:
            yield from self.finish()
            self._open(source)
        if self._stream is None:
            yield samples
            return
        step = max(1, int(BLOCK * min(1.0, source / self._rate)))
        for start in range(0, len(samples), step):
            yield self._stream.resample_chunk(samples[start : start + step])

    def _open(self, source: float) -> None:
        import soxr

        self._source = source
        same = abs(source - self._rate) <= NEAR * self._rate
        self._stream = None if same else soxr.ResampleStream(source, self._rate, 1, dtype="float32")

    def finish(self) -> Iterator[Any]:
        import numpy as np

        if self._stream is not None:
            yield self._stream.resample_chunk(np.empty(0, np.float32), last=True)
        self._stream = None
