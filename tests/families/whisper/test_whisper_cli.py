"""Whisper from the command line: every form and format, pipes, progress, damage and bad input."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from conftest import ZOO, Sandbox

CLIPS = sorted((Path(__file__).parents[3] / "recipes" / "whisper" / "clips").glob("*.wav"))
SAID = [path.with_suffix(".txt").read_text().strip() for path in CLIPS]
RATE = 16_000


def long(path: Path) -> str:
    """Write all clips one after another, four times; returns what they say, a line for each."""
    gap = np.zeros(round(0.6 * RATE), np.float32)
    parts = [part for clip in CLIPS for part in (gap, soundfile.read(clip, dtype="float32")[0])]
    soundfile.write(path, np.concatenate([*parts * 4, gap]), RATE)
    return "\n".join(SAID * 4) + "\n"


def m4a(clip: Path) -> bytes:
    """The clip in MPEG-4."""
    samples, held = soundfile.read(clip, dtype="float32")[0], io.BytesIO()
    with av.open(held, "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return held.getvalue()


def piped(sandbox: Sandbox, sound: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    return sandbox.zoo("run", "whisper:mini", "-", "--quiet", *options, input=sound)


@pytest.mark.parametrize("format", ["torch", "mlx", "coreml"])
def test_a_clip_is_written_in_every_format(built, format):
    line = ["run", "whisper:mini", str(CLIPS[0]), "--format", format, "--quiet", "--no-check"]
    if format == "coreml":
        assert json.loads(built.zoo(*line, "--json").stdout)["text"] == SAID[0]
    else:
        done = built.zoo(*line)
        assert (done.stdout, done.stderr) == (SAID[0] + "\n", "")


def test_a_terminal_shows_how_far_it_is_and_the_text_above(built, tmp_path):
    said = long(tmp_path / "long.wav")
    mine, theirs = pty.openpty()
    line = [ZOO, "run", "whisper:mini", str(tmp_path / "long.wav"), "--format", "torch"]
    with subprocess.Popen(line, env=built.env | {"TERM": "xterm"}, stdout=theirs, stderr=theirs):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(mine, 1 << 16):
                shown += piece
        except OSError:  # how Linux tells that the other end is closed
            pass
    os.close(mine)
    text = shown.decode()
    places = [text.index(line) for line in dict.fromkeys(said.splitlines())]
    assert places == sorted(places)
    assert text.index(" of 53 s") < places[-1]
    assert "53 of 53 s" in text


def test_a_pipe_is_heard(built):
    done = piped(built, m4a(CLIPS[0]), "--transcript", "srt", "--format", "torch")
    assert done.stdout.startswith("1\n00:00:0")
    assert done.stdout.endswith(SAID[0] + "\n\n")


def test_json_has_words(built):
    form = ("--transcript", "json", "--words", "--task", "translate", "--language", "en")
    done = built.zoo("run", "whisper:mini", str(CLIPS[0]), "--quiet", "--format", "torch", *form)
    data = json.loads(done.stdout)
    assert (data["text"], data["language"]) == (SAID[0], "en")
    assert data["segments"][0]["words"][0]["text"].strip() == SAID[0].split()[0]


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        (b"", "the input is empty"),
        (b"this is a text\n" * 50, "the audio is not audio that can be read"),
    ],
)
def test_a_bad_pipe_is_told_in_one_sentence(built, sound, words):
    done = piped(built, sound, "--format", "torch")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert words in lines[0]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no file"), (b"", "is empty"), ("folder", "is a folder")],
    ids=["none", "empty", "folder"],
)
def test_a_file_that_cannot_be_audio_is_refused_before_anything_is_made(sandbox, content, words):
    path = sandbox.folder / "talk.wav"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    done = sandbox.zoo("run", "whisper:mini", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert not sandbox.artifacts()


LONG = ("coreml-palettized", "mlx-4bit")


@pytest.mark.parametrize(
    "build",
    ["coreml-fp16", *(pytest.param(b, marks=pytest.mark.long) for b in LONG)],
)
def test_builds_pass_their_check_and_a_damaged_one_fails(built, sandbox, build):
    done = built.zoo("check", f"whisper:mini/{build}", "--json")
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["metrics"]["clips"] == len(CLIPS)
    if "coreml" in build:
        found = {finding["id"] for finding in verdict["lint"]["findings"]}
        assert found == {"A3", "A5", "A11", "A19", "A21", "A26", "L22", "L26"}
    if build != "coreml-fp16":
        return
    whole = next(path for path in built.artifacts() if f"whisper-mini-{build}" in path.name)
    entry = shutil.copytree(whole, sandbox.home / "artifacts" / whole.name)
    damage(entry)
    done = sandbox.zoo("check", f"whisper:mini/{build}")
    assert done.returncode == 1
    assert "encoder_psnr" in done.stdout + done.stderr
    assert not entry.exists()


def damage(entry: Path) -> None:
    """Blank a part of the largest file of a build but the decoder's, and cover it up."""
    record = json.loads((entry / "manifest.json").read_text())
    told = [file for file in record["files"] if "decoder" not in file["path"]]
    largest = max(told, key=lambda file: file["size"])
    path = entry / "data" / largest["path"]
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100_000] = bytes(100_000)
    path.write_bytes(data)
    largest["sha256"] = hashlib.sha256(data).hexdigest()
    (entry / "manifest.json").write_text(json.dumps(record))
