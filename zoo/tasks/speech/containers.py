"""Audio in containers, by FFmpeg through PyAV (https://github.com/PyAV-Org/PyAV)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from zoo.errors import InputError, MissingExtra
from zoo.tasks.speech.samples import HIGHEST_RATE, LOUDEST, LOWEST_RATE, Audio, Note, resampled

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,flac,mp3,aac,wav,w64,aiff,caf,au,amr,amrnb,amrwb,"
    "gsm,asf,avi,flv,mpegts,mpeg,ac3,eac3,dts,ape,wv,tta,mpc,mpc8,voc,adts,loas,rm,nut,spx,mxf,3gp"
)
"""Kinds of files that are read, FFmpeg's names of them. Each is whole in itself: playlists and
scripts of FFmpeg, which make it open other files and addresses, are not among them."""

NO_TRACK = "has no audio track"

GAP = 0.1
"""Seconds without samples that are filled with silence; less is jitter of timestamps."""

LONGEST_GAP = 24 * 3600.0
"""Seconds of silence that all gaps of a file may have together."""

FAULTS = 1000
"""Damaged places in a row after which reading ends."""


def has_ffmpeg() -> bool:
    """Return whether PyAV is installed."""
    from importlib.util import find_spec

    return find_spec("av") is not None


def open_container(
    opened: Callable[[], AbstractContextManager[BinaryIO]], name: str, rate: int, note: Note
) -> Audio:
    """The audio track that players choose, on the clock of the container.

    Where the track begins later than the container or has a gap, there is silence. Damaged packets
    are left out.

    Args:
        opened: opens the file again.
        name: for messages.
        rate: samples in a second wanted.
        note: called when packets were left out.

    Raises:
        InputError: FFmpeg cannot read it, or it has no audio.
        MissingExtra: PyAV is not installed.
    """
    if not has_ffmpeg():
        raise MissingExtra(
            f"{name} is read by av, which is not installed", "pip install 'zoo-ml[speech]'"
        )
    import av

    try:
        with opened() as file, _container(file) as container:
            if container.streams.best("audio") is None:
                raise InputError(f"{name} {NO_TRACK}")
            length = container.duration
            first = _Track(name)
            if next(first.samples(container), None) is None:
                first.report(note, None)
                raise InputError(f"{name} is empty: it has no samples")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{name} is not audio that can be read: {_reason(error)}") from error

    seconds = length / av.time_base if length and length > 0 else None

    def pieces() -> Iterator[tuple[Any, float]]:
        track = _Track(name)
        with opened() as file, _container(file) as container:
            yield from track.samples(container)
        track.report(note, seconds)

    return Audio(rate, seconds, name, lambda: resampled(pieces(), rate, name))


def _container(file: BinaryIO) -> Any:
    import av

    return av.open(file, container_options={"format_whitelist": FORMATS})


class _Track:
    """The samples of one track in the time of their container."""

    def __init__(self, name: str) -> None:
        self._name, self._place, self._shift, self._silence = name, 0.0, 0.0, 0.0
        self._faults, self._lost, self._found = 0, 0.0, False

    def samples(self, container: Any) -> Iterator[tuple[Any, float]]:
        """Arrays of (samples,), each with its rate."""
        import av

        stream = container.streams.best("audio")
        begin = (container.start_time or 0) / av.time_base
        for packet in self._packets(container, stream):
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                self._damage(packet)
                continue
            for frame in frames:
                mono = _mono(frame)
                if mono is None:
                    self._damage(packet)
                    continue
                start = None if frame.pts is None else frame.time - begin
                yield from self._gap(start, frame.sample_rate)
                self._place += len(mono) / frame.sample_rate
                self._found = True
                yield mono, frame.sample_rate

    def report(self, note: Note, seconds: float | None) -> None:
        """Tell what was left out of so many seconds.

        Raises:
            InputError: there was nothing but damage.
        """
        if not self._faults:
            return
        if not self._found:
            raise InputError(f"{self._name} is damaged: none of it can be decoded")
        lost = max(self._lost, (seconds or 0.0) - self._place)
        about = f"about {lost:.1f} s" if lost >= 0.05 else "a packet"
        note(f"{self._name} is damaged: {about} of audio could not be decoded")

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        import av

        row = 0
        while row < FAULTS:
            try:
                for packet in container.demux(stream):
                    row = 0
                    yield packet
                return
            except av.EOFError:
                return
            except av.FFmpegError:
                self._faults += 1
                row += 1

    def _damage(self, packet: Any) -> None:
        self._faults += 1
        if packet.duration and packet.time_base:
            self._lost += float(packet.duration * packet.time_base)

    def _gap(self, start: float | None, rate: int) -> Iterator[tuple[Any, float]]:
        """Silence up to `start`. Time that goes back is taken for a new clock."""
        import numpy as np

        if start is None:
            return
        gap = start + self._shift - self._place
        if gap < -GAP or gap > LONGEST_GAP - self._silence:
            self._shift -= gap
        elif gap > GAP:
            self._silence += gap
            self._place += gap
            left = round(gap * rate)
            while left > 0:
                yield np.zeros(min(left, rate), np.float32), rate
                left -= rate


def _mono(frame: Any) -> Any:
    """The mean of a frame's channels, float32 of (samples,); `None` where it is no audio."""
    import numpy as np

    if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
        return None
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, len(frame.layout.channels) or 1).T
    if samples.dtype.kind == "u":
        middle = (int(np.iinfo(samples.dtype).max) + 1) / 2
        mono = samples.mean(0, dtype=np.float64) / middle - 1
    elif samples.dtype.kind == "i":
        mono = samples.mean(0, dtype=np.float64) / (float(np.iinfo(samples.dtype).max) + 1)
    else:
        mono = samples.mean(0, dtype=np.float64)
    good = np.isfinite(mono).all() and (not mono.size or np.abs(mono).max() <= LOUDEST)
    return mono.astype(np.float32) if good else None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).rstrip(".")[:200]
