"""Open audio for a model: one channel of float32 at its sample rate."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from zoo.errors import InputError, MissingExtra
from zoo.tasks.speech.samples import BLOCK, HIGHEST_RATE, LOWEST_RATE, Audio, Note, resampled

__all__ = ["Audio", "open_audio"]

MOST_CHANNELS = 64
"""More columns of an array are not channels."""


def open_audio(
    audio: Any, *, rate: int, sample_rate: float | None = None, note: Note | None = None
) -> Audio:
    """Open audio of any kind for a model, resampled and mixed to one channel.

    Channels are averaged, and the SoX resampler converts the sample rate. Audio is read in blocks,
    so long recordings need little memory. Damaged files are decoded as far as possible.

    Args:
        audio: one of

            - the path of a file (wav, flac, ogg, mp3, m4a, webm, and others that libsndfile or
              FFmpeg reads), an open binary file, or the bytes of one;
            - samples: an array of NumPy, PyTorch, MLX or another library, or a list of numbers,
              with floats from -1 to 1 or integers, of shape (samples,), (samples, channels) or
              (channels, samples);
            - `{"array": samples, "sampling_rate": 16000}`, as in Hugging Face Datasets, or the same
              with "raw", "bytes" or "path" in place of "array";
            - a pair of sample rate and samples in either order, as in Gradio and torchaudio.
        rate: sample rate to convert to, in Hz.
        sample_rate: sample rate of `audio` in Hz, if it does not include it.
        note: called with a message about damaged parts; by default a Python warning.

    Raises:
        InputError: the file does not exist, is empty or is not audio, or the samples are not an
            array of finite numbers.
        MissingExtra: `soundfile` or `soxr` is not installed.
    """
    from zoo.tasks.speech.audio_files import open_file

    _require_packages()
    if isinstance(audio, Mapping):
        audio, sample_rate = _of_mapping(audio, sample_rate)
    elif isinstance(audio, tuple) and len(audio) == 2 and sum(map(_is_rate, audio)) == 1:
        sample_rate, audio = audio if _is_rate(audio[0]) else reversed(audio)
    if isinstance(audio, bytes | bytearray) or _is_bytes(audio):
        audio = BytesIO(audio)
    if isinstance(audio, str | os.PathLike):
        path = require_file(audio)
        return open_file(path, f"'{path}'", rate, note)
    if hasattr(audio, "read"):
        return open_file(audio, "the audio", rate, note)
    return _of_samples(audio, rate, sample_rate)


def require_file(audio: str | os.PathLike[str]) -> Path:
    """The path of a file that has something in it.

    Raises:
        InputError: there is none, or it is empty.
    """
    path = Path(audio)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder", "give the path of an audio file")
    if path.exists() and not path.is_file():
        raise InputError(f"'{path}' is not a regular file", "give the path of an audio file")
    if not path.is_file():
        remote = "://" in str(audio)
        hint = "download it first" if remote else "give the path of an audio file"
        raise InputError(f"there is no file '{audio}'", hint)
    if not path.stat().st_size:
        raise InputError(f"'{path}' is empty: it has no bytes")
    return path


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float) or (getattr(value, "shape", None) == ())


def _is_bytes(value: Any) -> bool:
    return isinstance(value, memoryview) and value.format == "B" and value.ndim == 1


def _of_mapping(audio: Mapping[Any, Any], sample_rate: float | None) -> tuple[Any, float | None]:
    for key in ("array", "raw", "bytes", "path"):
        if audio.get(key) is not None:
            return audio[key], audio.get("sampling_rate", audio.get("sample_rate", sample_rate))
    keys = ", ".join(sorted(map(str, audio))[:8])
    raise InputError(
        f"the dictionary has neither 'array' nor 'raw', 'bytes' or 'path', only: {keys[:200]}",
        'give {"array": samples, "sampling_rate": 16000}',
    )


def _of_samples(given: Any, rate: int, sample_rate: float | None) -> Audio:
    samples = _channels_last(_as_array(given))
    source = _checked_rate(sample_rate)

    def read() -> Iterator[Any]:
        step = max(1, BLOCK // (1 if samples.ndim == 1 else samples.shape[1]))
        pieces = (samples[at : at + step] for at in range(0, len(samples), step))
        return resampled(((_as_floats(piece), source) for piece in pieces), rate, "the samples")

    return Audio(rate, len(samples) / source, "the samples", read)


def _checked_rate(sample_rate: Any) -> float:
    if sample_rate is None:
        raise InputError("the rate of the samples is not given", "add sample_rate, such as 44100")
    try:
        rate = float(sample_rate)
    except (TypeError, ValueError):
        rate = float("nan")
    if isinstance(sample_rate, bool) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InputError(
            f"sample_rate must be a number from {LOWEST_RATE} to {HIGHEST_RATE}, "
            f"not {str(sample_rate)[:50]}"
        )
    return rate


def _as_array(given: Any) -> Any:
    """Samples of any library as a NumPy array."""
    import numpy as np

    if hasattr(given, "detach"):  # of PyTorch
        given = given.detach().cpu()
        if given.dtype.is_floating_point:
            given = given.float()
    elif type(given).__module__.partition(".")[0] == "mlx":
        import mlx.core as mx

        if mx.issubdtype(given.dtype, mx.floating):
            given = given.astype(mx.float32)
    known = (
        isinstance(given, list | tuple | array | memoryview)
        or hasattr(given, "__array__")
        or hasattr(given, "__array_interface__")
        or hasattr(given, "__dlpack__")
    )
    if not known:
        raise InputError(
            f"audio must be a path, an open binary file, bytes or samples, "
            f"not of the type {type(given).__name__}"
        )
    try:
        samples = np.asarray(given)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"the samples are not an array of numbers: {str(error)[:200]}") from error
    if samples.dtype.kind not in "fiu":
        raise InputError(f"samples must be numbers, not of the type {samples.dtype}")
    return samples


def _channels_last(samples: Any) -> Any:
    """Samples of shape (samples,) or (samples, channels)."""
    shape = samples.shape
    while samples.ndim > 2 and samples.shape[0] == 1:  # a batch of one
        samples = samples[0]
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:
        samples = samples.T
    if samples.ndim not in (1, 2) or not samples.size:
        raise InputError(
            "samples must be of shape (samples,), (samples, channels) or (channels, samples), "
            f"not {shape}"
        )
    if samples.ndim == 2 and samples.shape[1] > MOST_CHANNELS:
        raise InputError(
            f"samples of shape {shape} would have {samples.shape[1]} channels, "
            f"more than {MOST_CHANNELS}",
            "give them as (samples, channels)",
        )
    return samples


def _as_floats(samples: Any) -> Any:
    """Integers scaled to -1 and 1; unsigned ones have their silence in the middle."""
    import numpy as np

    if samples.dtype.kind == "f":
        return samples
    scale = float(np.iinfo(samples.dtype).max) + 1
    middle = scale / 2 if samples.dtype.kind == "u" else 0.0
    return (samples.astype(np.float64) - middle) / (middle or scale)


def _require_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("soundfile", "soxr") if find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"audio is read by {' and '.join(missing)}, which is not installed",
            "pip install 'zoo-ml[speech]'",
        )
