"""Transcripts and their forms."""

from __future__ import annotations

import json

from zoo.tasks.speech.transcript import Segment, Transcript, Word

SEGMENTS = (
    Segment(0.0, 1.25, " turn the lamp on", (Word(" turn", 0.0, 0.3, 0.9),), -0.1, 0.01),
    Segment(3661.5, 3662.0005, "a <b> & --> c\n\nd"),
)
SAID = Transcript("turn the lamp on ...", SEGMENTS, "en")


def test_srt():
    assert SAID.to_srt() == (
        "1\n00:00:00,000 --> 00:00:01,250\nturn the lamp on\n\n"
        "2\n01:01:01,500 --> 01:01:02,000\na <b> & -> c d\n\n"
    )


def test_vtt():
    assert SAID.to_vtt() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nturn the lamp on\n\n"
        "01:01:01.500 --> 01:01:02.000\na &lt;b&gt; &amp; -&gt; c d\n\n"
    )


def test_json_and_text():
    data = json.loads(SAID.to_json())
    assert data["language"] == "en"
    assert data["segments"][0]["words"][0] == {
        "text": " turn", "start": 0.0, "end": 0.3, "probability": 0.9,
    }  # fmt: skip
    assert str(SAID) == SAID.text


def test_nothing_said():
    nothing = Transcript("", (), "en")
    assert nothing.to_srt() == ""
    assert nothing.to_vtt() == "WEBVTT\n\n"
