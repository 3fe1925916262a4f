"""`zoo.load(..., device=)`: where PyTorch runs a model, and what is refused before a download."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from zoo.formats.torch import best_device


def quiet(event: object) -> None:
    """Progress is not of interest here."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    return tmp_path / "home"


def test_a_model_runs_where_its_caller_chose(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert best_device() == "mps"
    with zoo.load("mistral:mini/torch", device="cpu", listener=quiet) as model:
        assert str(model.device) == "cpu"
        assert model.generate("Once", max_tokens=2)
    assert best_device() == "mps", "the choice was for this model"


@pytest.mark.parametrize(
    ("ref", "device", "words"),
    [
        ("mistral:mini/torch", "cuda", "finds no device 'cuda' on this machine"),
        ("mistral:mini/torch", "cuda:7", "finds no device 'cuda:7'"),
        ("mistral:mini/torch", "cdua", "did you mean 'cuda'"),
        ("mistral:mini/torch", "cpu:1", "not a device of PyTorch"),
        ("mistral:mini/torch", 0, "not a device of PyTorch"),
        ("mistral:mini/mlx", "cpu", "only the format torch"),
        ("mistral:mini/coreml-int4", "cpu", "only the format torch"),
    ],
)
def test_a_device_that_is_not_here_is_refused_before_anything_is_fetched(
    home: Path, monkeypatch: pytest.MonkeyPatch, ref: str, device: str, words: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(zoo.UsageError, match=words) as caught:
        zoo.load(ref, device=device, listener=quiet)
    assert caught.value.hint
    assert not (home / "artifacts").exists()


def test_gpus_are_counted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(zoo.UsageError, match="'cuda:2'") as caught:
        zoo.load("mistral:mini/torch", device="cuda:2", listener=quiet)
    assert "cpu, cuda" in str(caught.value.hint)
