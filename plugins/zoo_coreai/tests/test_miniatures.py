"""Every miniature of zoo, run by Apple's own runtime, gives what PyTorch gives."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest
import zoo
from zoo.tasks import psnr

pytestmark = pytest.mark.usefixtures("runtime")

PROMPT = "Once upon a time"
LANGUAGE = ("mistral:mini", "openelm:mini")


def greedy(model: zoo.TextModel) -> str:
    return model.generate(PROMPT, temperature=0, max_tokens=24)


@pytest.mark.parametrize("ref", LANGUAGE)
def test_a_language_model_writes_the_text_that_pytorch_writes(ref):
    with zoo.load(ref, build="coreai") as model, zoo.load(ref, format="torch") as reference:
        assert greedy(model) == greedy(reference)
        tokens = reference.encode(PROMPT) * 80  # more than go through the model at once
        found, wanted = model.logits(tokens), reference.logits(tokens)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 1e-3


@pytest.mark.parametrize("ref", LANGUAGE)
@pytest.mark.parametrize("build", ["coreai-int4", "coreai-palettized"])
def test_a_compressed_language_model_passes_its_check(ref, build):
    assert zoo.check(ref, build=build).status == "passed"
    plain, small = zoo.build(ref, build="coreai"), zoo.build(ref, build=build)
    assert size(small.path / "model.aimodel") < size(plain.path / "model.aimodel") / 4


def test_the_state_holds_what_the_option_says():
    with zoo.load("mistral:mini", build="coreai") as model:
        assert model.context == 1024
        assert model.logits([5] * 1024).shape == (1024, model.vocabulary)
        with pytest.raises(zoo.InputError, match="1025 tokens are more than the 1024"):
            model.logits([5] * 1025)


def test_it_can_be_called_within_an_event_loop():
    async def inside() -> str:
        with zoo.load("mistral:mini", build="coreai") as model:
            return model.generate(PROMPT, temperature=0, max_tokens=3)

    assert asyncio.run(inside()) == ", there lived"


def test_a_closed_model_refuses_to_run():
    model = zoo.load("mistral:mini", build="coreai")
    model.close()
    model.close()
    with pytest.raises(zoo.ZooError, match="closed"):
        model.logits([5])


def test_a_missing_program_is_named(tmp_path: Path):
    from zoo_coreai.running import Program

    with pytest.raises(zoo.IntegrityError, match=r"none\.aimodel is missing"):
        Program(tmp_path / "none.aimodel")


@pytest.mark.parametrize(
    "damage",
    [
        lambda program: b"not a program",
        lambda program: program[: len(program) // 2],
        lambda program: program[:-9] + bytes([program[-9] ^ 1]) + program[-8:],
    ],
    ids=["replaced", "cut short", "one bit"],
)
def test_a_damaged_program_is_named(tmp_path: Path, damage):
    """The runtime ends the process by one that it cannot parse, and runs one with other weights."""
    from zoo_coreai.running import Program

    bad = tmp_path / "bad.aimodel"
    shutil.copytree(zoo.build("mistral:mini", build="coreai").path / "model.aimodel", bad)
    program = bad / "main.mlirb"
    program.write_bytes(damage(program.read_bytes()))
    with pytest.raises(zoo.IntegrityError, match=r"bad\.aimodel is damaged"):
        Program(bad)


def test_whisper_transcribes_what_pytorch_transcribes():
    clip = zoo.show("whisper:mini").home / "clips" / "01.wav"
    with zoo.load("whisper:mini", build="coreai") as model:
        found = model.transcribe(clip, words=True)
        searched = model.transcribe(clip, beams=3).text  # beams fork the states
    with zoo.load("whisper:mini", format="torch") as reference:
        wanted = reference.transcribe(clip, words=True)
        assert searched == reference.transcribe(clip, beams=3).text
    assert found.text == wanted.text
    pairs = zip(words(found), words(wanted), strict=True)
    assert all(abs(one.start - other.start) < 0.05 for one, other in pairs)


def test_stable_diffusion_generates_the_picture_that_pytorch_generates():
    call = {"seed": 7, "steps": 6}
    pictures = []
    for options in ({"build": "coreai"}, {"format": "torch"}):
        with zoo.load("stable-diffusion:mini", **options) as model:
            first = model.generate("a red circle", **call)
            second = model.generate("a blue square", image=first, strength=0.5, **call)
            pictures.append([np.asarray(picture, np.float64) / 255 for picture in (first, second)])
    for found, wanted in zip(*pictures, strict=True):
        assert psnr(wanted, found) > 45


def test_a_size_that_the_programs_do_not_take_is_refused():
    with (
        zoo.load("stable-diffusion:mini", build="coreai") as model,
        pytest.raises(zoo.InputError, match="64x64 pixels, and 128x64 is asked for"),
    ):
        model.generate("a red circle", width=128)


@pytest.mark.parametrize("ref", ["whisper:mini", "stable-diffusion:mini"])
@pytest.mark.parametrize("build", ["coreai-int4", "coreai-palettized"])
def test_a_compressed_build_passes_its_check(ref, build):
    assert zoo.check(ref, build=build).status == "passed"


def words(transcript: zoo.Transcript) -> list[zoo.Word]:
    return [word for segment in transcript.segments for word in segment.words or ()]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
