"""The check of speech models: how far a build diverges from its source on the same clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zoo.tasks.examples import MOST, Example, keep
from zoo.tasks.metrics import psnr, word_errors

if TYPE_CHECKING:
    from zoo.tasks.model import Model
    from zoo.tasks.speech.model import SpeechModel


def measure_speech(
    inputs: list[Path], source: Callable[[], Model], build: Callable[[], Model]
) -> dict[str, float]:
    """Agreement of two speech models on the same clips.

    Returns:
        encoder_psnr: of what the encoder makes of each clip's first window, in decibels; the peak
            is the largest value of the source's.
        token_agreement: share of the tokens of the source's transcript that the build finds
            likeliest as well, given those before (teacher forcing).
        wer: word errors of the build's transcripts over the words of the source's.
        clips: how many were transcribed.
    """
    import numpy as np

    with cast("SpeechModel", source()) as model:
        windows = [_window(model, path) for path in inputs]
        hidden = [model.encoded(window) for window in windows]
        said = [model.transcribe(path).text for path in inputs]
        tokens = [model.encode(text) for text in said]
        wanted = [model.logits(*pair).argmax(-1) for pair in zip(windows, tokens, strict=True)]
    with cast("SpeechModel", build()) as model:
        encoded = [model.encoded(window) for window in windows]
        found = [model.logits(*pair).argmax(-1) for pair in zip(windows, tokens, strict=True)]
        texts = [model.transcribe(path).text for path in inputs]
    for path, text, expected in list(zip(inputs, texts, said, strict=True))[:MOST]:
        keep(Example(str(path), text, expected))
    errors = sum(word_errors(a.split(), b.split()) for a, b in zip(texts, said, strict=True))
    agree = np.concatenate([a == b for a, b in zip(found, wanted, strict=True)])
    return {
        "encoder_psnr": min(psnr(a, b) for a, b in zip(encoded, hidden, strict=True)),
        "token_agreement": float(agree.mean()),
        "wer": errors / max(1, sum(len(text.split()) for text in said)),
        "clips": float(len(inputs)),
    }


def _window(model: SpeechModel, path: Path) -> Any:
    """The first window of a clip, filled up with silence."""
    import numpy as np

    from zoo.tasks.speech.audio import open_audio

    samples, place = np.zeros(model.window, np.float32), 0
    for block in open_audio(path, rate=model.rate).blocks():
        part = block[: model.window - place]
        samples[place : place + len(part)] = part
        place += len(part)
        if place == model.window:
            break
    return samples
