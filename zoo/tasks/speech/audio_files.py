"""Read audio files with libsndfile, or with FFmpeg those that it does not support."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from zoo.errors import InputError, MissingExtra
from zoo.tasks.speech.containers import NO_TRACK, has_ffmpeg, open_container
from zoo.tasks.speech.samples import (
    BLOCK,
    HIGHEST_RATE,
    LOUDEST,
    LOWEST_RATE,
    Audio,
    Note,
    resampled,
)

MARKS = ((4, b"ftyp"), (0, b"\x1aE\xdf\xa3"))
"""What MPEG-4 and Matroska hold near their beginning; libsndfile would search them for MP3."""

EXACT = ("PCM", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Encodings of which every byte is a sample, and none the fault of a decoder."""

UNKNOWN = 1 << 62
"""Samples from which libsndfile means that the header does not tell, as of FLAC from a pipe."""

COPIED = 1 << 20
"""Bytes that are copied at once of a stream that cannot go back."""


def open_file(source: Path | BinaryIO, name: str, rate: int, note: Note | None) -> Audio:
    """The audio of a file.

    Args:
        source: its path, or an open binary file.
        name: for messages.
        rate: samples in a second wanted.
        note: called with what is left out of a damaged file.

    Raises:
        InputError: it is not audio, or has no samples.
    """
    tell = note or _warn
    source = source if isinstance(source, Path) else _seekable(source, name)
    with _opened(source) as file:
        head = file.read(16)
    if not head:
        raise InputError(f"{name} is empty: it has no bytes")
    if any(head[at:].startswith(mark) for at, mark in MARKS):
        return open_container(lambda: _opened(source), name, rate, tell)
    return _of_sndfile(source, name, rate, tell)


def _of_sndfile(source: Path | BinaryIO, name: str, rate: int, note: Note) -> Audio:
    import soundfile

    try:
        with _opened(source) as file, soundfile.SoundFile(_closed_header(file)) as found:
            frames, native, channels = found.frames, found.samplerate, found.channels
            exact = found.subtype.startswith(EXACT)
    except (soundfile.LibsndfileError, TypeError, RuntimeError, OSError, ValueError) as error:
        return _of_ffmpeg(source, name, rate, note, _reason(error))
    if not frames and not exact:
        return _of_ffmpeg(source, name, rate, note, None)
    if not frames:
        raise InputError(f"{name} is empty: it has no samples")
    if not LOWEST_RATE <= native <= HIGHEST_RATE:
        raise InputError(f"{name} is damaged: its header says {native} samples in a second")

    def pieces() -> Iterator[tuple[Any, float]]:
        done = 0
        try:
            with _opened(source) as file, soundfile.SoundFile(_closed_header(file)) as opened:
                for block in _blocks(opened, channels):
                    if not exact:
                        _silence_damage(block)
                    done += len(block)
                    yield block, native
        except (soundfile.LibsndfileError, RuntimeError) as error:
            if not has_ffmpeg():
                raise InputError(f"{name} is damaged: {_reason(error)}") from error
            rest = open_container(lambda: _opened(source), name, native, note)
            yield from ((block, native) for block in _after(rest.blocks(), done))

    seconds = frames / native if frames < UNKNOWN else None
    return Audio(rate, seconds, name, lambda: resampled(pieces(), rate, name))


def _of_ffmpeg(
    source: Path | BinaryIO, name: str, rate: int, note: Note, reason: str | None
) -> Audio:
    """What libsndfile cannot read, by `reason`, or finds no samples in (`None`)."""
    try:
        return open_container(lambda: _opened(source), name, rate, note)
    except (InputError, MissingExtra) as error:
        if reason is None:
            raise InputError(f"{name} is empty: it has no samples") from error
        if NO_TRACK in error.message:
            raise
        raise InputError(
            f"{name} is not audio that can be read: {reason}",
            "zoo reads wav, flac, ogg, mp3, m4a and most other kinds",
        ) from error


def _after(blocks: Iterator[Any], samples: int) -> Iterator[Any]:
    """All but the first `samples`."""
    for block in blocks:
        if len(block) > samples:
            yield block[samples:]
        samples = max(0, samples - len(block))


def _blocks(file: Any, channels: int) -> Iterator[Any]:
    """What a file really holds, which may be less than its header says."""
    step = max(1, BLOCK // channels)
    while len(block := file.read(step, dtype="float32", always_2d=True)):
        yield block


def _silence_damage(block: Any) -> None:
    """Take out what a decoder makes of damaged packets."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        block[~(np.abs(block) <= LOUDEST)] = 0


@contextmanager
def _opened(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    """The file at its beginning; one that the caller opened stays open."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield cast("BinaryIO", _Patched(file, {}))
    else:
        source.seek(0)
        yield cast("BinaryIO", _Patched(source, {}))


def _seekable(file: Any, name: str) -> BinaryIO:
    """An open file that can go back: itself, or a temporary copy of a pipe."""
    import tempfile

    if not isinstance(start := file.read(0), bytes):
        raise InputError(
            f"{name} is a file opened as text, which reads as {type(start).__name__}",
            "open it with mode 'rb'",
        )
    if hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable()):
        found: BinaryIO = file
        return found
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nobody holds it any more
    while part := file.read(COPIED):
        copy.write(part)
    return copy


class _Patched(io.RawIOBase):
    """A file as the decoders read it: some bytes may be others, and no seek fails."""

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        self._file, self._patches = file, patches
        self.name = str(getattr(file, "name", "audio"))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, OverflowError, ValueError):  # where damaged headers point
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        at = self._file.tell()
        data = bytearray(self._file.read(len(buffer)))
        for place, value in self._patches.items():
            for number, byte in enumerate(value, place - at):
                if 0 <= number < len(data):
                    data[number] = byte
        buffer[: len(data)] = data
        return len(data)


def _closed_header(file: BinaryIO) -> Any:
    """The file, with the size of its samples in the header where its writer was stopped before.

    A recorder that is killed leaves a size of 0 in front of its samples, in RIFF's
    (https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html) and in Sun's format.
    """
    patches = _size_patches(file)
    file.seek(0)
    return _Patched(file, patches)


def _size_patches(file: BinaryIO) -> dict[int, bytes]:
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] == b".snd" and head[8:12] == bytes(4):
        return {8: b"\xff" * 4}
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
        return {}
    order, at, patches = (">" if head[:4] == b"RIFX" else "<"), 12, {}
    while at + 8 <= end:
        file.seek(at)
        chunk = file.read(8)
        size: int = struct.unpack(f"{order}I", chunk[4:])[0]
        if chunk[:4] == b"ds64" and file.read(16)[8:] == bytes(8):
            patches[at + 16] = struct.pack("<Q", max(0, end - at - 8 - size))
        if chunk[:4] == b"data":
            rest = end - at - 8
            if size == 0 and rest and not _is_chunk(file, rest, order):
                patches[at + 4] = struct.pack(f"{order}I", min(rest, 0xFFFFFFFE))
                patches[4] = struct.pack(f"{order}I", min(end - 8, 0xFFFFFFFE))
                return patches
            return patches if head[:4] == b"RF64" else {}
        at += 8 + size + size % 2
    return {}


def _is_chunk(file: BinaryIO, rest: int, order: str) -> bool:
    """Whether another chunk follows an empty one, and not samples."""
    head = file.read(8)
    if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
        return False
    return bool(struct.unpack(f"{order}I", head[4:])[0] <= rest - 8)


def _reason(error: Exception) -> str:
    """What a library says is wrong, without the name of the file."""
    text = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return str(text).rstrip(".").removeprefix("Error : ")[:200]


def _warn(sentence: str) -> None:
    warnings.warn(sentence, UserWarning, stacklevel=2)
