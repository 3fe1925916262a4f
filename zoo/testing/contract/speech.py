"""Claims about speech recognition models."""

from __future__ import annotations

from typing import Any, cast

from zoo.tasks.speech.model import SpeechModel
from zoo.testing.contract.claim import Claims, require
from zoo.testing.contract.model import SHORT, fingerprint, tone
from zoo.testing.contract.subject import Subject

SPEECH = Claims()


@SPEECH.claim
def arrays_are_float32(subject: Subject) -> None:
    """Outputs of the encoder and the decoder are float32, two-dimensional and finite."""
    import numpy as np

    model, samples = _model(subject)
    tokens = model.encode("a")
    found = {"encoded": model.encoded(samples), "logits": model.logits(samples, tokens)}
    for name, array in found.items():
        require(array.dtype == np.float32, f"{name} is {array.dtype}, not float32")
        require(array.ndim == 2, f"{name} has the shape {array.shape}")
        require(np.isfinite(array).all(), f"{name} holds NaN or infinity")
    require(len(found["logits"]) == len(tokens), f"{len(tokens)} tokens have other logits")


@SPEECH.claim
def segments_in_order(subject: Subject) -> None:
    """Segments are in order: each ends after it starts, and none overlaps the next one."""
    model, _ = _model(subject)
    seconds = 1.5 * model.window / model.rate
    end = 0.0
    for segment in model.transcribe(tone(220, seconds), **SHORT).segments:
        require(segment.start <= segment.end, f"a segment ends before it starts: {segment}")
        require(segment.start >= end - 1e-3, f"a segment starts before the last ended: {segment}")
        end = segment.end


@SPEECH.claim
def abandoned_stream(subject: Subject) -> None:
    """A transcription that is stopped early does not change later ones."""
    model, _ = _model(subject)
    audio: Any = tone(200)
    whole = fingerprint(model.transcribe(audio, **SHORT))
    left = model.stream(tone(300), **SHORT)
    next(left, None)
    again = fingerprint(model.transcribe(audio, **SHORT))
    left.close()
    require(again == whole, "beside an open stream, a transcript changes")


def _model(subject: Subject) -> tuple[SpeechModel, Any]:
    """The model, and a window of audio."""
    model = cast("SpeechModel", subject.model)
    return model, tone(200, model.window / 16_000)[: model.window]
