"""The loop over windows is openai-whisper's: the same segments, words and figures from long audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from worlds import whisper_checkpoint
from worlds.openai_whisper import OpenAIWhisper

RATE = 16_000
MINI = Path(__file__).parents[3] / "recipes" / "whisper" / "mini"
CLIPS = sorted((MINI.parent / "clips").glob("*.wav"))
PEERS = {"words": "word_timestamps", "beams": "beam_size", "prompt": "initial_prompt"}


@pytest.fixture(scope="module")
def peer() -> OpenAIWhisper:
    return OpenAIWhisper(MINI)


@pytest.fixture(scope="module")
def long_audio() -> np.ndarray:
    """A minute: speech, pauses of some seconds, music and noise."""
    random, parts = np.random.default_rng(0), []
    for number, path in enumerate(CLIPS * 2):
        quiet = random.normal(0, 1e-3, int(RATE * random.uniform(0.2, 4)))
        parts += [quiet, soundfile.read(path, dtype="float32")[0]]
        if number % 5 == 2:
            parts.append(0.1 * np.sin(np.arange(RATE * 7) * 0.2))
        if number % 7 == 3:
            parts.append(random.normal(0, 0.05, RATE * 5))
    return np.concatenate(parts).astype(np.float32)


def require_same(peer: OpenAIWhisper, audio: np.ndarray, options: dict) -> int:
    """Compare both; returns the number of segments."""
    theirs = peer.transcribe(audio, **{PEERS.get(k, k): v for k, v in options.items()})
    ours = peer.model.transcribe(audio, sample_rate=RATE, **{"temperature": 0.0, **options})
    wanted = [segment for segment in theirs["segments"] if segment["text"].strip()]
    assert [s.text for s in ours.segments] == [s["text"] for s in wanted]
    assert [list(s.tokens) for s in ours.segments] == [s["tokens"] for s in wanted]
    for mine, other in zip(ours.segments, wanted, strict=True):
        assert (mine.start, mine.end) == pytest.approx((other["start"], other["end"]), abs=0.002)
        for name in ("avg_logprob", "no_speech_prob", "compression_ratio", "temperature"):
            assert getattr(mine, name) == pytest.approx(other[name], abs=1e-4)
        words = other.get("words", [])
        assert [word.text for word in mine.words] == [word["word"] for word in words]
        for word, twin in zip(mine.words, words, strict=True):
            found = word.start, word.end, word.probability
            assert found == pytest.approx(
                (twin["start"], twin["end"], twin["probability"]), abs=2e-3
            )
    assert ours.language == theirs["language"]
    return len(wanted)


OPTIONS = [
    {},
    {"words": True, "hallucination_silence_threshold": 0.5},
    {"beams": 2, "patience": 2.0, "length_penalty": 0.5},
    {"clip_timestamps": "0,5.5,30,45", "condition_on_previous_text": False, "words": True},
    {"prompt": "one two", "carry_initial_prompt": True},
    {"temperature": (0.0, 1e-4, 2e-4), "logprob_threshold": -0.1},
    {"suppress_tokens": "", "suppress_blank": False, "max_initial_timestamp": 0.5},
]
MORE_OPTIONS = [
    {"condition_on_previous_text": False},
    {"condition_on_previous_text": False, "words": True},
    {"condition_on_previous_text": False, "words": True, "hallucination_silence_threshold": 1},
    {"beams": 3, "condition_on_previous_text": False},
    {"clip_timestamps": [3, 20, 30.5]},
    {"prompt": "one two"},
    {"without_timestamps": True},
    {"temperature": (0.0, 1e-4), "compression_ratio_threshold": 0.9},
    {"no_speech_threshold": 0.0, "logprob_threshold": -0.2},
    {"no_speech_threshold": None, "condition_on_previous_text": False},
]
"""Others of the same kinds, for `make long`."""


@pytest.mark.parametrize(
    "options",
    [*OPTIONS, *(pytest.param(each, marks=pytest.mark.long) for each in MORE_OPTIONS)],
    ids=str,
)
def test_long_audio_is_transcribed_as_openai_does(peer, long_audio, options):
    require_same(peer, long_audio, options)


def test_the_comparison_sees_speech(peer, long_audio):
    assert require_same(peer, long_audio, {"condition_on_previous_text": False}) > 8


@pytest.mark.parametrize(
    "language",
    ["de", *(pytest.param(name, marks=pytest.mark.long) for name in ("ja", "zh", "hi"))],
)
def test_random_weights_in_several_languages(tmp_path, language):
    peer = OpenAIWhisper(whisper_checkpoint.make(tmp_path / "source", seconds=2, inner=128))
    audio = np.random.default_rng(3).normal(0, 0.1, 11 * RATE).astype(np.float32)
    options = {"language": language, "words": True, "no_speech_threshold": None}
    assert require_same(peer, audio, {**options, "task": "translate"}) > 3


def test_sampled_texts_are_no_prompt_above_half(peer, long_audio):
    """With every try too unlikely, the last temperature decides, and clears the prompt."""
    model, audio, seen = peer.model, long_audio[: 18 * RATE], []

    class Spy:
        def __init__(self, window):
            self.window = window

        def begin(self):
            writing = self.window.begin()
            go_on = writing.go_on

            def spied(tokens):
                if len(tokens) > 1:
                    seen.append(list(tokens))
                return go_on(tokens)

            writing.go_on = spied
            return writing

    listen = model.listen
    model.listen = lambda samples: Spy(listen(samples))
    try:
        for last, prompted in ((0.4, True), (0.6, False)):
            seen.clear()
            options = {"logprob_threshold": 0.0, "no_speech_threshold": None, "language": "en"}
            model.transcribe(audio, sample_rate=RATE, temperature=(0.0, last), **options)
            later = [tokens for tokens in seen[1:] if tokens[-1] != model.vocabulary.end]
            assert later
            assert (later[0][0] == model.vocabulary.previous) is prompted
            assert any(map(model.vocabulary.is_time, later[0])) is prompted
    finally:
        del model.listen
