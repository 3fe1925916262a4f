"""zoo's own plugins keep the contract that it holds others to."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.testing import FamilyContract, FormatContract, TaskContract

ROOT = Path(__file__).parents[2]
SPEECH, PICTURES = "automatic-speech-recognition", "text-to-image"


class TestTorch(FormatContract):
    family, format, slow = "mistral", "torch", False


class TestMLX(FormatContract):
    family, format, slow = "mistral", "mlx", False
    optimize = ({"kind": "quantize", "bits": 4, "group_size": 32},)


class TestCoreML(FormatContract):
    family, format = "mistral", "coreml"
    optimize = ({"kind": "quantize", "bits": 4, "block_size": 32},)


class TestMistralWithAdapterTorch(FamilyContract):
    family, format, recipe, slow = "mistral", "torch", "mistral:mini", False


class TestMistralWithAdapterMLX(FamilyContract):
    family, format, recipe, slow = "mistral", "mlx", "mistral:mini", False


class TestMistralWithAdapterCoreML(FamilyContract):
    family, format, recipe, slow = "mistral", "coreml", "mistral:mini", False


class TestOpenELMTorch(FamilyContract):
    family, format, slow = "openelm", "torch", False


class TestOpenELMMLX(FamilyContract):
    family, format, slow = "openelm", "mlx", False


class TestOpenELMCoreML(FamilyContract):
    family, format, slow = "openelm", "coreml", False


class TestWhisperTorch(FamilyContract):
    family, format, task, slow = "whisper", "torch", SPEECH, False


class TestWhisperMLX(FamilyContract):
    family, format, task, slow = "whisper", "mlx", SPEECH, False


class TestWhisperCoreML(FamilyContract):
    family, format, task, slow = "whisper", "coreml", SPEECH, False


class TestStableDiffusionTorch(FamilyContract):
    family, format, task, slow = "stable-diffusion", "torch", PICTURES, False


class TestStableDiffusionMLX(FamilyContract):
    family, format, task, slow = "stable-diffusion", "mlx", PICTURES, False


@pytest.mark.long
class TestStableDiffusionCoreML(FamilyContract):
    family, format, task, slow = "stable-diffusion", "coreml", PICTURES, False
    test_same_bytes_twice = None  # half a minute, for the same writer as Whisper's


def load_text():
    from zoo.testing.contract.subject import Subject

    return Subject("openelm", "torch").load()


class TestTextGeneration(TaskContract):
    task = "text-generation"
    load = staticmethod(load_text)
    inputs = (ROOT / "recipes" / "openelm" / "mini-check.txt",)


class TestSpeech(TaskContract):
    task = SPEECH


class TestPictures(TaskContract):
    task = PICTURES
