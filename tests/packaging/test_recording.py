"""The recording in the documentation, and the script that makes one."""

from __future__ import annotations

import base64
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
PNG = b"\x89PNG\r\n\x1a\n0000"
SPEAKS = f"""
import sys, time
print("\\033[32mgreen\\033[0m and plain")
sys.stdout.flush()
time.sleep(0.3)
print("\\rtick", end="\\r", flush=True)
time.sleep(0.3)
print("tock")
print("\\033]1337;File=inline=1:{base64.b64encode(PNG).decode()}\\007")
print("in /tmp/of/mine", file=sys.stderr)
"""


def words_of(svg: str) -> list[str]:
    """The text of each line that some frame shows, in the order of the frames."""
    defs = {
        line.get("id"): " ".join("".join(text.itertext()) for text in line.iter(f"{SVG}text"))
        for line in ET.fromstring(svg).iter(f"{SVG}g")
        if line.get("id")
    }
    return list(defs.values())


def test_the_recording_of_the_documentation_is_small_and_moves() -> None:
    svg = (ROOT / "docs" / "images" / "zoo.svg").read_text(encoding="utf-8")
    assert len(svg) < 300_000
    assert "@keyframes film" in svg
    assert "prefers-reduced-motion" in svg
    assert "<script" not in svg
    shown = "\n".join(words_of(svg))
    for words in (
        "$ zoo list japanese transcription", "Once upon a time", "zero eight nine zero eight",
        "ring.png", "zoo: check passed - top1", "$ zoo lint mistral:mini/coreml-int4 --for gpu",
    ):  # fmt: skip
        assert words in shown
    assert str(ROOT) not in svg
    assert "/tmp/" not in svg
    assert len(list(ET.fromstring(svg).iter(f"{SVG}image"))) == 1


def test_a_command_is_recorded_as_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyte", reason="the terminal emulator is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from recording import Recording

    recording = Recording(60, 12, (Path("/tmp/of/mine"), "~/mine"))
    recording.run((sys.executable, "-c", SPEAKS), {**os.environ, "TERM": "xterm"}, tmp_path)
    svg = recording.svg("a test")
    shown = words_of(svg)
    assert shown.index("tick") < shown.index("tock"), "each state of a line is shown"
    assert "green and plain" in shown
    assert 'fill="#98c379"' in svg
    assert "in ~/mine" in shown
    (image,) = ET.fromstring(svg).iter(f"{SVG}image")
    assert base64.b64decode(image.get("href", "").partition("base64,")[2]) == PNG
    ends = [seconds for state, seconds in recording.frames if any(state.lines)]
    assert 2 < sum(ends) < 30


def test_a_command_that_fails_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyte", reason="the terminal emulator is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from recording import Recording

    recording = Recording(60, 12, (tmp_path, "~"))
    with pytest.raises(SystemExit, match="exit code 3"):
        recording.run((sys.executable, "-c", "raise SystemExit(3)"), os.environ, tmp_path)
