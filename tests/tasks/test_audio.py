"""Audio in: files of every kind, arrays, channels, rates, damage, and what is not audio."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

import zoo
from zoo.tasks.speech.audio import open_audio

RATE = 16_000


def tone(seconds: float = 1.0, rate: int = RATE, pitch: float = 440.0) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)


def heard(sound, **options) -> np.ndarray:
    return np.concatenate(list(open_audio(sound, rate=RATE, **options).blocks()))


def pitch_of(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples))


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_files_of_every_kind_and_rate(tmp_path, kind, rate):
    path = tmp_path / f"tone.{kind}"
    soundfile.write(path, tone(rate=rate), rate)
    audio = open_audio(path, rate=RATE)
    assert audio.seconds == pytest.approx(1.0, abs=0.1)
    found = np.concatenate(list(audio.blocks()))
    assert found.dtype == np.float32
    assert len(found) == pytest.approx(RATE, abs=0.1 * RATE)
    assert pitch_of(found) == pytest.approx(440, abs=2)
    assert np.abs(found).max() == pytest.approx(0.5, abs=0.05)


def test_channels_are_mixed(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(), -tone()], 1), RATE)
    assert np.abs(heard(path)).max() < 1e-3


def test_open_files_and_bytes(tmp_path):
    memory = io.BytesIO()
    soundfile.write(memory, tone(), RATE, format="FLAC")
    memory.seek(0)
    np.testing.assert_allclose(heard(memory), tone(), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.int32, np.uint8])
def test_samples_of_every_type(dtype):
    samples = tone().astype(dtype)
    if np.dtype(dtype).kind == "i":
        samples = (tone() * np.iinfo(dtype).max).astype(dtype)
    elif np.dtype(dtype).kind == "u":
        samples = (tone() * 127 + 128).astype(dtype)
    np.testing.assert_allclose(heard(samples, sample_rate=RATE), tone(), atol=0.02)


def test_a_long_file_is_read_in_blocks(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for _ in range(600):
            file.write(tone())
    tracemalloc.start()
    total = sum(len(block) for block in open_audio(path, rate=RATE).blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 600 * RATE
    assert peak < 30e6  # of 38 MB in all, as float32


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.wav", b"hello", "is not audio that can be read"),
        ("empty.wav", b"", "is empty: it has no bytes"),
        ("cut.wav", b"RIFF\x00\x00", "is not audio that can be read"),
        ("film.m4a", b"\x00\x00\x00\x20ftypM4A ", "is not audio that can be read"),
    ],
)
def test_what_is_not_audio_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(zoo.InputError, match=words) as caught:
        open_audio(path, rate=RATE)
    assert name in str(caught.value)


def test_what_is_there_of_a_cut_file_is_read(tmp_path):
    path = tmp_path / "cut.mp3"
    soundfile.write(path, tone(5), RATE)
    path.write_bytes(path.read_bytes()[:5000])
    found = heard(path)
    assert 0 < len(found) < 4 * RATE
    assert np.abs(found).max() < 0.6


def test_a_folder_and_samples_far_too_large_are_refused(tmp_path):
    with pytest.raises(zoo.InputError, match="is a folder"):
        open_audio(tmp_path, rate=RATE)
    with pytest.raises(zoo.InputError, match="far too large"):
        heard(np.full(100, 1e30), sample_rate=RATE)


def test_an_m4a_is_read(tmp_path):
    import av

    path = tmp_path / "talk.m4a"
    times = np.arange(2 * 44_100) / 44_100
    wave = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    audio = open_audio(path, rate=RATE)
    found = np.concatenate(list(audio.blocks()))
    assert abs(audio.seconds - 2) < 0.1
    assert abs(len(found) / RATE - 2) < 0.1
    spectrum = np.abs(np.fft.rfft(found[: 2 * RATE - 4000]))
    assert abs(spectrum.argmax() * RATE / (2 * RATE - 4000) - 440) < 2
    other = path.with_suffix(".wav")
    other.write_bytes(path.read_bytes())
    np.testing.assert_array_equal(heard(other), found)
    np.testing.assert_array_equal(heard(io.BytesIO(path.read_bytes())), found)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(zoo.InputError, match=r"talk\.m4a"):
        list(open_audio(path, rate=RATE).blocks())


def test_a_file_without_samples_is_refused(tmp_path):
    path = tmp_path / "none.wav"
    soundfile.write(path, np.empty(0), RATE)
    with pytest.raises(zoo.InputError, match="is empty: it has no samples"):
        open_audio(path, rate=RATE)
    with pytest.raises(zoo.InputError, match="there is no file"):
        open_audio(tmp_path / "nowhere.wav", rate=RATE)
    with pytest.raises(zoo.InputError, match="is not a regular file"):
        open_audio("/dev/null", rate=RATE)


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (tone(), {}, "the rate of the samples is not given"),
        (tone(), {"sample_rate": 0}, "must be a number from 1 to"),
        (tone(), {"sample_rate": True}, "must be a number from 1 to"),
        (tone(), {"sample_rate": float("nan")}, "must be a number from 1 to"),
        (np.zeros((2, 2, 2)), {"sample_rate": RATE}, "must be of shape"),
        (np.zeros((100, 100)), {"sample_rate": RATE}, "more than 64"),
        ([[1.0], [2.0, 3.0]], {"sample_rate": RATE}, "not an array of numbers"),
        ({"text": "a"}, {}, "neither 'array' nor 'raw'"),
        (3.5, {"sample_rate": RATE}, "not of the type float"),
        (io.StringIO("a"), {}, "opened as text"),
        (np.zeros(3, complex), {"sample_rate": RATE}, "must be numbers"),
        (np.zeros(0), {"sample_rate": RATE}, "must be of shape"),
        (np.array(["a"]), {"sample_rate": RATE}, "must be numbers"),
        (np.array([0.0, np.nan]), {"sample_rate": RATE}, "NaN or infinite"),
    ],
)
def test_wrong_samples_are_named(samples, options, words):
    with pytest.raises(zoo.InputError, match=words):
        heard(samples, **options)


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(zoo.MissingExtra, match="soundfile and soxr") as caught:
        open_audio(Path("x.wav"), rate=RATE)
    assert "zoo-ml[speech]" in caught.value.hint
