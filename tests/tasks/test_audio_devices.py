"""Audio as devices and libraries give it: unclosed headers, odd rates, tracks, gaps, damage."""

from __future__ import annotations

import array
import io
import os
import struct
import threading
import warnings
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import mlx.core as mx
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.tasks.speech.audio import open_audio

RATE = 16_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
NOISE = np.random.default_rng(1).normal(0, 0.1, 10 * RATE).astype(np.float32)


def read(audio, **options) -> np.ndarray:
    return np.concatenate(list(open_audio(audio, rate=RATE, **options).blocks()))


def encoded(kind: str, samples: np.ndarray = TONE, **options) -> bytearray:
    memory = io.BytesIO()
    soundfile.write(memory, samples, RATE, format=kind, **options)
    return bytearray(memory.getvalue())


def film(path: Path, tracks: list[list[tuple[float, np.ndarray]]], default: int = 0) -> Path:
    """A container with AAC tracks, each of stretches that begin at some second."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("aac", rate=RATE, layout="mono") for _ in tracks]
        for number, stream in enumerate(streams):
            mark = av.stream.Disposition.default if number == default else 0
            stream.disposition = av.stream.Disposition(mark)
        for stream, stretches in zip(streams, tracks, strict=True):
            for begin, samples in stretches:
                for start in range(0, len(samples) // 1024 * 1024, 1024):
                    block = np.ascontiguousarray(samples[None, start : start + 1024])
                    frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                    frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                    frame.pts = round(begin * RATE) + start
                    container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ALAW", "GSM610"])
def test_a_wav_that_was_not_closed_is_whole(tmp_path, subtype, size):
    raw = encoded("WAV", subtype=subtype)
    whole = read(bytes(raw))
    at = raw.index(b"data") + 4
    raw[4:8] = raw[at : at + 4] = struct.pack("<I", size)
    path = tmp_path / "meeting.wav"
    path.write_bytes(raw)
    found = read(path)
    assert abs(len(found) - len(whole)) <= 640  # two blocks of GSM
    np.testing.assert_allclose(found[: len(whole)], whole, atol=1e-6)


@pytest.mark.parametrize("kind", ["RIFX", "AU", "RF64"])
def test_other_headers_that_were_not_closed(kind):
    raw = encoded("WAV", endian="BIG") if kind == "RIFX" else encoded(kind)
    if kind == "AU":
        raw[8:12] = bytes(4)
    elif kind == "RF64":
        at = raw.index(b"ds64") + 8
        raw[at : at + 24] = bytes(24)
    else:
        at = raw.index(b"data") + 4
        raw[4:8] = raw[at : at + 4] = bytes(4)
    np.testing.assert_allclose(read(bytes(raw)), TONE, atol=1e-3)


def test_an_empty_wav_with_a_title_is_empty():
    raw = encoded("WAV", np.empty(0))
    raw += b"LIST" + struct.pack("<I", 12) + b"INFOINAM" + bytes(4)
    with pytest.raises(zoo.InputError, match="has no samples"):
        read(bytes(raw))


def test_a_flac_from_a_pipe_does_not_tell_its_length():
    raw = encoded("FLAC")
    raw[21] &= 0xF0
    raw[22:26] = bytes(4)
    audio = open_audio(bytes(raw), rate=RATE)
    assert audio.seconds is None
    np.testing.assert_allclose(np.concatenate(list(audio.blocks())), TONE, atol=1e-3)


@pytest.mark.parametrize("rate", [10, 100, 4000, 7919, 192_000, 768_000])
def test_rates_far_from_speech(rate):
    raw = encoded("WAV")
    raw[24:28] = struct.pack("<I", rate)
    audio = open_audio(bytes(raw), rate=RATE)
    assert audio.seconds == pytest.approx(RATE / rate)
    blocks = [len(block) for block in audio.blocks()]
    assert sum(blocks) == pytest.approx(RATE * RATE / rate, rel=0.01)
    assert max(blocks) < 3 << 20


def test_many_channels_are_read_within_a_block():
    raw = encoded("WAV", np.tile(TONE[:8000, None], 512), subtype="PCM_16")
    np.testing.assert_allclose(read(bytes(raw)), TONE[:8000], atol=1e-3)


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", ">f4", "i1", "i2", "i4", "i8", ">i2", "u1", "u2", "u4"]
)
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1), (-1, 2), (2, -1), (1, 1, -1)])
def test_arrays_of_every_type_and_orientation(dtype, shape):
    kind, samples = np.dtype(dtype), TONE.astype(np.float64)
    if kind.kind == "i":
        samples = samples * np.iinfo(kind).max
    elif kind.kind == "u":
        samples = (samples + 1) * (np.iinfo(kind).max / 2)
    samples = samples.astype(kind)
    if 2 in shape:
        samples = np.stack([samples, samples], -1 if shape[0] == -1 else 0)
    np.testing.assert_allclose(read(samples.reshape(shape), sample_rate=RATE), TONE, atol=0.02)


@pytest.mark.parametrize(
    "given",
    [
        TONE.tolist(),
        tuple(TONE.tolist()),
        array.array("f", TONE.tolist()),
        memoryview(TONE),
        torch.from_numpy(TONE),
        torch.from_numpy(TONE).bfloat16().requires_grad_(),
        mx.array(TONE),
        mx.array(TONE).astype(mx.bfloat16),
    ],
    ids=lambda given: type(given).__name__,
)
def test_samples_of_every_library(given):
    np.testing.assert_allclose(read(given, sample_rate=RATE), TONE, atol=4e-3)


def test_what_carries_its_rate():
    wanted = read(TONE, sample_rate=8000)
    pcm = (TONE * 32767).astype(np.int16)
    for audio in (
        {"array": TONE, "sampling_rate": 8000},
        {"raw": TONE.tolist(), "sampling_rate": 8000},
        {"array": TONE, "path": "gone.wav", "sampling_rate": 8000},
        (8000, pcm),
        (torch.from_numpy(TONE)[None], 8000),
    ):
        np.testing.assert_allclose(read(audio), wanted, atol=1e-3)


def test_bytes_and_files_of_datasets(tmp_path):
    raw = bytes(encoded("FLAC"))
    (tmp_path / "a.flac").write_bytes(raw)
    given = (raw, bytearray(raw), memoryview(raw), {"bytes": raw, "path": None})
    for audio in (*given, {"path": str(tmp_path / "a.flac"), "bytes": None}):
        np.testing.assert_allclose(read(audio), TONE, atol=1e-3)
    with (tmp_path / "a.flac").open("rb") as file:
        file.read(100)
        np.testing.assert_allclose(read(file), TONE, atol=1e-3)
        assert not file.closed


def test_a_pipe_is_read_to_its_end():
    source, target = os.pipe()
    raw = bytes(encoded("WAV"))
    writer = threading.Thread(target=lambda: os.fdopen(target, "wb").write(raw))
    writer.start()
    with os.fdopen(source, "rb") as file:
        np.testing.assert_allclose(read(file), TONE, atol=1e-3)
    writer.join()


@pytest.mark.parametrize("given", [TONE.tolist() * 20 + ["a"], {"array": ["a"] * 300_000}, "x" * 9])
def test_messages_do_not_quote_the_audio(given):
    with pytest.raises(zoo.InputError) as caught:
        read(given, sample_rate=RATE)
    assert len(str(caught.value)) < 500


def test_an_address_is_not_a_file():
    with pytest.raises(zoo.InputError, match="there is no file") as caught:
        read("https://example.org/talk.mp3")
    assert caught.value.hint == "download it first"


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg"])
def test_of_a_damaged_file_the_rest_is_kept(tmp_path, kind):
    path = tmp_path / f"noise.{kind}"
    soundfile.write(path, NOISE, RATE)
    raw = bytearray(path.read_bytes())
    half = len(raw) // 2
    raw[half : half + 3000] = b"\x55" * 3000
    path.write_bytes(raw)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        found = read(path)
    assert len(found) > 7 * RATE
    assert np.abs(found).max() < 5


def test_of_a_cut_flac_the_beginning_is_kept(tmp_path):
    raw = encoded("FLAC", NOISE)
    told = []
    found = read(bytes(raw[: len(raw) // 2]), note=told.append)
    assert 4.5 * RATE < len(found) < 5.5 * RATE
    np.testing.assert_allclose(found[:60_000], NOISE[:60_000], atol=1e-3)


@pytest.mark.parametrize("kind", ["m4a", "mkv"])
def test_a_damaged_packet_is_left_out_and_told(tmp_path, kind):
    path = film(tmp_path / f"talk.{kind}", [[(0, NOISE)]])
    raw = bytearray(path.read_bytes())
    begin = raw.index(b"mdat") if kind == "m4a" else 0
    middle = begin + (len(raw) - begin) // 2
    raw[middle : middle + 400] = bytes(400)
    path.write_bytes(raw)
    told = []
    found = read(path, note=told.append)
    if kind == "m4a":
        assert abs(len(found) / RATE - 10) < 0.5
    else:  # FFmpeg finds its way back to the next cluster of Matroska alone, and here is one
        assert 4.5 < len(found) / RATE < 10
        assert " 5." in told[0]
    assert "is damaged" in told[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(path)
    assert [str(warning.message) for warning in caught] == told


def test_nothing_but_damage_is_refused(tmp_path):
    path = film(tmp_path / "talk.m4a", [[(0, NOISE)]])
    raw = bytearray(path.read_bytes())
    begin = raw.index(b"mdat") + 4
    size = struct.unpack(">I", raw[begin - 8 : begin - 4])[0] - 8
    raw[begin : begin + size] = b"\xff" * size
    path.write_bytes(raw)
    with pytest.raises(zoo.InputError, match="is damaged: none of it can be decoded"):
        read(path)


def test_the_track_that_players_choose(tmp_path):
    low, high = (np.tile(np.sin(np.arange(RATE) / RATE * 2 * np.pi * f), 2) for f in (300, 900))
    tracks = [[(0, (0.5 * wave).astype(np.float32))] for wave in (low, high)]
    found = read(film(tmp_path / "film.mkv", tracks, default=1))
    assert abs(np.abs(np.fft.rfft(found)).argmax() * RATE / len(found) - 900) < 10


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_a_late_track_and_a_gap_keep_the_clock(tmp_path, kind):
    burst = NOISE[: RATE // 1024 * 1024]
    tracks = [[(0, NOISE[:8192])], [(2, burst), (6, burst)]]
    found = read(film(tmp_path / f"film.{kind}", tracks, default=1))
    loud = np.abs(found[: len(found) // 1600 * 1600]).reshape(-1, 1600).mean(1) > 0.02
    assert np.flatnonzero(np.diff(loud.astype(int)) == 1) / 10 == pytest.approx([1.9, 5.9], abs=0.2)
    assert len(found) / RATE == pytest.approx(7, abs=0.3)


def test_playlists_and_scripts_open_nothing(tmp_path):
    soundfile.write(tmp_path / "secret.flac", TONE, RATE)
    (tmp_path / "a.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path}/secret.flac\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "a.wav").write_text("ffconcat version 1.0\nfile secret.flac\n")
    for name in ("a.m3u8", "a.wav"):
        with pytest.raises(zoo.InputError, match="is not audio that can be read"):
            read(tmp_path / name)


def test_a_film_without_audio_says_so(tmp_path):
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(zoo.InputError, match="has no audio track"):
        read(path)


BASES = {kind: bytes(encoded(kind, TONE[:4000])) for kind in ("WAV", "FLAC", "OGG", "AIFF", "AU")}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(BASES)),
    edits=st.lists(st.tuples(st.integers(0, 120), st.binary(min_size=1, max_size=4)), max_size=4),
    cut=st.integers(0, 9000),
)
def test_damaged_headers_end_as_planned(kind, edits, cut):
    raw = bytearray(BASES[kind])
    for at, value in edits:
        raw[at : at + len(value)] = value
    total = 0
    with suppress(zoo.InputError):
        for block in open_audio(bytes(raw[: len(raw) - cut]), rate=RATE, note=str).blocks():
            assert np.isfinite(block).all()
            total += len(block)
            if total > 5_000_000:
                break
