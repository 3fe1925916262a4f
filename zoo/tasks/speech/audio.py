"""Sound as a model takes it: one channel of float32 at the rate it wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError, MissingExtra

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1 << 20
"""Frames that are read from a file at once."""

OTHER_KINDS = (".m4a", ".mp4", ".aac", ".webm", ".mov", ".opus")
"""Endings of files that PyAV reads, which brings FFmpeg's decoders; libsndfile cannot."""

MARKS = ((4, b"ftyp"), (0, b"\x1aE\xdf\xa3"))
"""What such files hold near their beginning, whatever they are called: MPEG-4 and Matroska."""

LOUDEST = 1e12
"""Samples beyond are no sound, but what a decoder made of a damaged file."""


@dataclass(frozen=True)
class Audio:
    """Sound that is read piece by piece.

    Attributes:
        rate: samples in a second.
        seconds: how long it lasts; `None` where only reading tells.
        name: for messages.
    """

    rate: int
    seconds: float | None
    name: str
    _read: Any

    def blocks(self) -> Iterator[np.ndarray]:
        """The samples in order, float32 of shape (samples,), mixed to one channel."""
        yield from self._read()


def open_audio(sound: Any, *, rate: int, sample_rate: int | None = None) -> Audio:
    """Sound at the rate that a model wants, whatever it is stored as.

    Channels are mixed to one and the rate is converted by the SoX resampler; no more than a block
    is in memory at a time.

    Args:
        sound: the path of a file (wav, flac, ogg, mp3, m4a and whatever else libsndfile or PyAV
            reads), an open binary file of the same, or samples: a NumPy array of floats within -1
            and 1, or of integers, of shape (samples,) or (samples, channels).
        rate: samples in a second that the model wants.
        sample_rate: that of the samples given as an array.

    Raises:
        InputError: a file that is not there, empty, damaged, or no sound; an array that is none;
            samples that are not finite.
        MissingExtra: `soundfile` or `soxr` is not installed.
    """
    _require_packages()
    import numpy as np

    if isinstance(sound, np.ndarray):
        return _of_array(sound, rate, sample_rate)
    if isinstance(sound, str | Path):
        if Path(sound).is_dir():
            raise InputError(f"'{sound}' is a folder", "give the path of a sound file")
        if not Path(sound).is_file():
            raise InputError(f"there is no file '{sound}'", "give the path of a sound file")
        if not Path(sound).stat().st_size:
            raise InputError(f"'{sound}' is empty: it has no bytes")
    return _of_film(sound, rate) if _other_kind(sound) else _of_file(sound, rate)


def _of_array(samples: Any, rate: int, sample_rate: int | None) -> Audio:
    import numpy as np

    if sample_rate is None:
        raise InputError("the rate of the samples is not said", "add sample_rate, such as 44100")
    if sample_rate <= 0:
        raise InputError(f"sample_rate must be above 0, not {sample_rate}")
    if samples.ndim not in (1, 2) or not samples.size:
        raise InputError(
            f"samples must be of shape (samples,) or (samples, channels), not {samples.shape}"
        )
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
        raise InputError(
            f"samples of shape {samples.shape} have more channels than samples",
            "give them as (samples, channels)",
        )
    if samples.dtype.kind in "iu":
        scale = float(np.iinfo(samples.dtype).max) + 1
        middle = scale / 2 if samples.dtype.kind == "u" else 0.0
        samples = (samples.astype(np.float32) - middle) / (middle or scale)
    elif samples.dtype.kind != "f":
        raise InputError(f"samples must be numbers, not {samples.dtype}")

    def read() -> Iterator[Any]:
        pieces = (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))
        return _resampled(pieces, sample_rate, rate, "the samples")

    return Audio(rate, len(samples) / sample_rate, "the samples", read)


def _of_file(sound: Any, rate: int) -> Audio:
    import soundfile

    name = _name(sound)
    try:
        file = soundfile.SoundFile(str(sound) if isinstance(sound, Path) else sound)
    except (soundfile.LibsndfileError, TypeError, RuntimeError) as error:
        if isinstance(sound, str | Path) and Path(sound).suffix.lower() in OTHER_KINDS:
            return _of_film(sound, rate)
        raise InputError(
            f"{name} is no sound that can be read: {_reason(error)}",
            "zoo reads wav, flac, ogg, mp3 and m4a",
        ) from error
    if not file.frames:
        raise InputError(f"{name} is empty: it has no samples")

    def read() -> Iterator[Any]:
        try:
            file.seek(0)
            yield from _resampled(_blocks(file), file.samplerate, rate, name)
        except soundfile.LibsndfileError as error:
            raise InputError(f"{name} is damaged: {_reason(error)}") from error

    return Audio(rate, file.frames / file.samplerate, name, read)


def _blocks(file: Any) -> Iterator[Any]:
    """What is there of a file, which may be less than it says (`file.blocks` trusts that)."""
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        yield block


def _of_film(sound: Any, rate: int) -> Audio:
    """The sound of an MPEG-4 or another container, by PyAV (https://github.com/PyAV-Org/PyAV)."""
    from importlib.util import find_spec

    name = _name(sound)
    if find_spec("av") is None:
        raise MissingExtra(f"{name} is read by av, which is not installed", "pip install av")
    import av

    source = str(sound) if isinstance(sound, str | Path) else sound
    try:
        with av.open(source) as container:
            if not container.streams.audio:
                raise InputError(f"{name} has no sound")
            length = container.duration
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{name} is no sound that can be read: {_reason(error)}") from error

    def read() -> Iterator[Any]:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        try:
            if not isinstance(source, str):
                source.seek(0)
            with av.open(source) as container:
                for frame in container.decode(audio=0):
                    for part in resampler.resample(frame):
                        yield part.to_ndarray()[0]
                for part in resampler.resample(None):
                    yield part.to_ndarray()[0]
        except av.FFmpegError as error:
            raise InputError(f"{name} is damaged: {_reason(error)}") from error

    return Audio(rate, length / av.time_base if length else None, name, read)


def _name(sound: Any) -> str:
    return f"'{sound}'" if isinstance(sound, str | Path) else "the sound"


def _reason(error: Exception) -> str:
    """What a library says is wrong, without the name of the file."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(text).rstrip(".").removeprefix("Error : ")


def _other_kind(sound: Any) -> bool:
    """Whether a file begins as those do that PyAV reads."""
    if isinstance(sound, str | Path):
        with open(sound, "rb") as file:
            head = file.read(16)
    elif hasattr(sound, "seek") and hasattr(sound, "read"):
        head = sound.read(16)
        sound.seek(0)
    else:
        return False
    return isinstance(head, bytes) and any(head[at:].startswith(mark) for at, mark in MARKS)


def _resampled(pieces: Iterator[Any], source: int, rate: int, name: str) -> Iterator[Any]:
    """One channel at the rate wanted, block by block."""
    import numpy as np
    import soxr

    stream = None if source == rate else soxr.ResampleStream(source, rate, 1, dtype="float32")
    for piece in pieces:
        mono = (piece.mean(-1) if piece.ndim == 2 else piece).astype(np.float32)
        if not np.isfinite(mono).all():
            raise InputError(f"{name} holds samples that are no finite numbers")
        if mono.size and np.abs(mono).max() > LOUDEST:
            raise InputError(f"{name} is damaged: it holds samples far too large for sound")
        yield mono if stream is None else stream.resample_chunk(mono)
    if stream is not None:
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _require_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("soundfile", "soxr") if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"sound is read by {' and '.join(missing)}, which is not installed",
            "pip install 'zoo-ml[speech]'",
        )
