"""Whisper: the same text in every format as transformers, for any length and any kind of sound."""

from __future__ import annotations

import io
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import WhisperForConditionalGeneration
from worlds import whisper_checkpoint
from worlds.coreml_builds import make_build

import zoo
import zoo_whisper.coreml
from zoo.tasks.speech.audio import Audio
from zoo.tasks.speech.check import psnr, word_errors
from zoo.tasks.speech.options import TranscribeOptions
from zoo_whisper.coreml import CoreMLWhisper
from zoo_whisper.decoding import Decoder
from zoo_whisper.mlx import MLXWhisper
from zoo_whisper.torch import TorchWhisper
from zoo_whisper.windows import Windows

MINI = Path(__file__).parents[3] / "recipes" / "whisper" / "mini"
CLIPS = sorted((MINI.parent / "clips").glob("*.wav"))
SAID = {path.stem: (path.with_suffix(".txt")).read_text().strip() for path in CLIPS}
FORMATS = ("torch", "mlx", "coreml")
RATE = 16_000

SHORT = (
    ("torch", False, 30), ("torch", True, 2), ("mlx", True, 2), ("coreml", False, 30),
    ("coreml-ane", True, 2),
)  # fmt: skip
"""Formats, multilingual or not, and lengths of window that `make test` compares with transformers."""


def load(format: str, source: Path, folder: Path) -> zoo.SpeechModel:
    if format.startswith("coreml"):
        target = {"target": "neural-engine"} if format == "coreml-ane" else {}
        return CoreMLWhisper(make_build(zoo_whisper.coreml, source, folder / format, **target))
    return {"torch": TorchWhisper, "mlx": MLXWhisper}[format](source)


def first_of(*formats: str) -> list[object]:
    """All formats, of which only these are tried by `make test`."""
    return [pytest.param(f, marks=() if f in formats else pytest.mark.long) for f in FORMATS]


@pytest.fixture(scope="module", params=FORMATS)
def mini(request, tmp_path_factory) -> zoo.SpeechModel:
    return load(request.param, MINI, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def torch_mini() -> TorchWhisper:
    model = TorchWhisper(MINI)
    model.ref = "whisper:mini"
    return model


def sound(*names: str, gap: float = 0.6) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Clips one after another, with when each begins and what it says."""
    quiet, parts, said, place = np.zeros(round(gap * RATE), np.float32), [], [], 0
    for name in names:
        clip = soundfile.read(MINI.parent / "clips" / f"{name}.wav", dtype="float32")[0]
        said.append(((place + len(quiet)) / RATE, SAID[name]))
        parts += [quiet, clip]
        place += len(quiet) + len(clip)
    return np.concatenate([*parts, quiet]), said


@pytest.mark.parametrize("clip", SAID)
def test_a_held_out_voice_is_understood(mini, clip):
    assert mini.transcribe(MINI.parent / "clips" / f"{clip}.wav").text == SAID[clip]


@pytest.mark.parametrize("mini", first_of("torch"), indirect=True)
def test_three_minutes_have_every_word_once_and_in_time(mini):
    times = 3 if isinstance(mini, MLXWhisper) else 18  # MLX is slow on a CPU
    audio, said = sound(*(list(SAID) * times)[: 64 * times // 18])
    assert len(audio) / RATE > 10 * times
    found = mini.transcribe(audio, sample_rate=RATE, condition_on_previous_text=False)
    wanted = " ".join(text for _, text in said).split()
    assert word_errors(found.text.split(), wanted) == 0
    spans = [(segment.start, segment.end) for segment in found.segments]
    for begin, _ in said:  # a text in one piece begins with its window, as openai-whisper has it
        assert any(start - 0.5 <= begin + 0.25 <= end for start, end in spans)


def test_progress_of_a_long_sound_is_told(torch_mini):
    audio, _ = sound(*SAID)
    told, seconds = [], round(len(audio) / RATE)
    torch_mini.transcribe(audio, sample_rate=RATE, listener=told.append)
    assert [event.done for event in told] == sorted({event.done for event in told})
    assert {(event.step, event.total, event.unit) for event in told} == {
        ("transcribe", seconds, "s")
    }
    assert (len(told) >= 3, told[-1].done) == (True, seconds)
    told.clear()
    torch_mini.transcribe(CLIPS[0], listener=told.append)
    assert told == []


def test_words_have_times_within_their_segment(mini):
    audio, _ = sound("01", "02")
    found = mini.transcribe(audio, sample_rate=RATE, words=True)
    for segment in found.segments:
        assert "".join(word.text for word in segment.words) == segment.text
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert segment.start <= times[0] <= times[-1] <= segment.end
        assert all(0 < word.probability <= 1 for word in segment.words)
    assert json.loads(found.to_json())["segments"][0]["words"]


@pytest.mark.parametrize("mini", first_of("torch", "coreml"), indirect=True)
def test_beams_find_a_text_at_least_as_likely(mini):
    audio, _ = sound("03")
    one = mini.transcribe(audio, sample_rate=RATE, temperature=0)
    three = mini.transcribe(audio, sample_rate=RATE, temperature=0, beams=3)
    assert three.segments[0].avg_logprob >= one.segments[0].avg_logprob - 1e-6


def test_the_language_is_found_and_a_prompt_is_taken(mini):
    audio, said = sound("01")
    found = mini.transcribe(audio, sample_rate=RATE, prompt="one two three")
    assert found.language == "en"
    assert found.text == said[0][1]


@pytest.mark.parametrize("mini", first_of("torch"), indirect=True)
def test_stereo_at_another_rate_says_the_same(mini, tmp_path):
    import soxr

    audio, said = sound("02")
    for rate in (8_000, 44_100):
        other = soxr.resample(audio, RATE, rate)
        path = tmp_path / f"{rate}.flac"
        soundfile.write(path, np.stack([other, other], 1), rate)
        errors = word_errors(mini.transcribe(path).text.split(), said[0][1].split())
        assert errors <= (1 if rate < RATE else 0)


@pytest.mark.parametrize("mini", first_of("torch", "coreml"), indirect=True)
@pytest.mark.parametrize("level", [0.0, 1e-3])
def test_silence_has_no_words(mini, level):
    audio = np.random.default_rng(1).normal(0, level, 10 * RATE).astype(np.float32)
    found = mini.transcribe(audio, sample_rate=RATE)
    assert (found.text, found.segments) == ("", ())
    assert found.to_srt() == ""


@pytest.mark.parametrize(
    ("format", "english", "seconds"),
    [
        pytest.param(*case, marks=() if case in SHORT else pytest.mark.long)
        for case in product([*FORMATS, "coreml-ane"], [False, True], [2, 30])
    ],
)
def test_a_random_checkpoint_writes_the_tokens_of_transformers(format, english, seconds, tmp_path):
    source = whisper_checkpoint.make(tmp_path / "source", english=english, seconds=seconds)
    model = load(format, source, tmp_path)
    audio = np.random.default_rng(2).normal(0, 0.1, model.window).astype(np.float32)
    reference = WhisperForConditionalGeneration.from_pretrained(source).eval()
    features = torch.from_numpy(TorchWhisper(source).features(audio))
    given = torch.tensor([[50256 + (not english) + 1, 5, 7, 300, 40_000, 51_000, 9]])
    with torch.inference_mode():
        hidden = reference.model.encoder(features).last_hidden_state[0]
        logits = reference(input_features=features, decoder_input_ids=given).logits[0]
    half = format.startswith("coreml")
    tolerance = 0.1 if half else 2e-3
    assert psnr(model.encoded(audio), hidden) > (45 if half else 90)
    found = model.logits(audio, given[0].tolist())
    np.testing.assert_allclose(found, logits, atol=tolerance * float(logits.abs().max()))
    decoder = Decoder(model.config, model.vocabulary, TranscribeOptions(temperature=0))
    for language, task in (
        [("en", "transcribe")] if english else [("de", "transcribe"), ("fr", "translate")]
    ):
        options = {} if english else {"language": language, "task": task}
        wanted = reference.generate(
            features, return_timestamps=True, max_new_tokens=24, do_sample=False, **options
        )[0].tolist()
        prompt = model.vocabulary.prompt(language, task)
        text = decoder.text(model.listen(audio), prompt)
        first = _first_window([t for t in wanted if t not in prompt], model.vocabulary.zero)
        assert len(first) >= 3
        assert list(text.tokens[: len(first)]) == first


def test_a_build_for_the_neural_engine_stays_there_and_attends_alike(tmp_path):
    source = whisper_checkpoint.make(tmp_path / "source", seconds=2)
    models = [load(format, source, tmp_path) for format in ("coreml", "coreml-ane")]
    audio = np.random.default_rng(3).normal(0, 0.1, models[0].window).astype(np.float32)
    tokens = [50257, 5, 7, 300]
    wanted, found = (model.listen(audio).attention(tokens) for model in models)
    assert wanted.shape == found.shape
    np.testing.assert_allclose(found, wanted, atol=0.05 * float(wanted.max()))
    writing = models[1].listen(audio).begin()
    writing.go_on(tokens[:2])
    other = writing.fork()
    rest, same = (each.go_on(tokens[2:]) for each in (writing, other))
    np.testing.assert_array_equal(rest, same)
    build = tmp_path / "coreml-ane" / "converted"
    for name in ("encoder", "decoder"):
        report = zoo.lint(build / f"{name}.mlpackage", target="iphone-neural-engine")
        assert {finding.id for finding in report.findings} <= {"A16"}, name


def _first_window(tokens: list[int], zero: int) -> list[int]:
    """What transformers wrote before it moved on, which a timestamp that goes back tells."""
    last = 0
    for place, token in enumerate(tokens):
        if token >= zero:
            if token < last:
                return tokens[:place]
            last = token
    return tokens[:20]


def test_quantized_weights_stay_close(tmp_path):
    source = whisper_checkpoint.make(tmp_path / "source", seconds=2)
    out = tmp_path / "out"
    out.mkdir()
    from zoo.catalogs.recipe import Build, Optimization
    from zoo_whisper.mlx import optimize

    step = Optimization("quantize", {"bits": 8, "group_size": 32})
    build, progress = Build("mlx", (step,)), zoo.Progress("optimize", lambda event: None)
    optimize(zoo.show("whisper:mini"), build, source, out, progress)
    plain, small = MLXWhisper(source), MLXWhisper(out)
    audio = np.random.default_rng(2).normal(0, 0.1, plain.window).astype(np.float32)
    assert 25 < psnr(small.encoded(audio), plain.encoded(audio)) < 80
    size = (out / "model.safetensors").stat().st_size
    assert size < 0.4 * (source / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "xx"}, "does not support the language 'xx'"),
        ({"task": "sing"}, "task must be"),
        ({"beams": 0}, "beams must be"),
        ({"temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_bad_options_are_named(torch_mini, options, message):
    with pytest.raises(zoo.InputError, match=message):
        torch_mini.transcribe(CLIPS[0], **options)


def test_english_alone_refuses_other_languages(tmp_path):
    model = TorchWhisper(whisper_checkpoint.make(tmp_path / "source", english=True, seconds=2))
    for options in ({"language": "de"}, {"task": "translate"}):
        with pytest.raises(zoo.InputError, match="English-only"):
            model.transcribe(CLIPS[0], **options)


@pytest.mark.parametrize("format", first_of("torch", "mlx"))
def test_words_without_alignment_heads_come_from_the_upper_layers(format, tmp_path):
    source = whisper_checkpoint.make(tmp_path / "source", heads=False, seconds=2)
    model = load(format, source, tmp_path)
    assert model.config.heads == ((1, 0), (1, 1))
    found = model.transcribe(CLIPS[0], words=True, temperature=0, logprob_threshold=None)
    assert found.segments[0].words


def test_several_recordings_are_transcribed_one_after_another(torch_mini, tmp_path, monkeypatch):
    samples = soundfile.read(CLIPS[1], dtype="float32")[0]
    both = torch_mini.transcribe_many([CLIPS[0], samples], sample_rate=RATE, temperature=0)
    assert [found.text for found in both] == [
        torch_mini.transcribe(clip, temperature=0).text for clip in CLIPS[:2]
    ]
    assert torch_mini.transcribe_many([]) == []
    monkeypatch.setattr(torch_mini, "transcribe_segments", None)  # nothing is transcribed
    with pytest.raises(zoo.InputError, match=r"no file '.*missing\.wav'"):
        torch_mini.transcribe_many([CLIPS[0], tmp_path / "missing.wav"])
    for one in (CLIPS[0], b"RIFF", samples, [0.0, 0.1]):
        with pytest.raises(zoo.InputError, match="must be a list"):
            torch_mini.transcribe_many(one)


@pytest.mark.parametrize("content", [b"", b"this is a text\n" * 50, b"RIFF\0\0\0\0WAVEjunk"])
def test_what_is_no_sound_is_refused(torch_mini, tmp_path, content):
    path = tmp_path / "talk.wav"
    path.write_bytes(content)
    with pytest.raises(zoo.InputError, match=r"talk\.wav"):
        torch_mini.transcribe(path)


def test_ten_hours_take_the_memory_of_a_window():
    def blocks():
        for _ in range(10 * 3600):
            yield np.zeros(RATE, np.float32)

    told = []
    audio = Audio(RATE, 36_000.0, "long", blocks)
    windows = Windows(audio, 30 * RATE, 160, zoo.Progress("transcribe", told.append))
    most, count, frame = 0, 0, 0
    while len(here := windows.at(frame, 3000)):
        most, count = max(most, len(windows._held)), count + len(here[: 29 * RATE])
        frame += 2900
        windows.done(frame)
    assert count == 10 * 3600 * RATE
    assert most <= 31 * RATE
    assert [event.done for event in told[:3]] == [29, 58, 87]
    assert (told[-1].done, told[-1].total, told[-1].unit) == (36_000, 36_000, "s")


def test_a_damaged_model_breaks_the_limits(tmp_path):
    from safetensors.torch import load_file, save_file

    from zoo.tasks.speech.check import measure_speech
    from zoo.tasks.speech.task import TASK
    from zoo.tasks.verdict import judge

    bad = tmp_path / "bad"
    bad.mkdir()
    for path in MINI.iterdir():
        if path.name != "model.safetensors":
            (bad / path.name).write_bytes(path.read_bytes())
    weights = load_file(MINI / "model.safetensors")
    weights["model.encoder.layers.1.fc1.weight"] *= -1
    save_file(weights, bad / "model.safetensors")
    figures = measure_speech(CLIPS, lambda: TorchWhisper(MINI), lambda: TorchWhisper(bad))
    assert figures["encoder_psnr"] < 30
    assert judge(TASK, figures, {"encoder_psnr": 45}, {}).status == "failed"
    same = measure_speech(CLIPS, lambda: TorchWhisper(MINI), lambda: TorchWhisper(MINI))
    assert (same["wer"], same["token_agreement"], same["encoder_psnr"]) == (0, 1, 200)


def test_an_open_file_is_heard(torch_mini):
    assert torch_mini.transcribe(io.BytesIO(CLIPS[0].read_bytes())).text == SAID["01"]
