"""Whisper by Core AI: spectrogram, encoder and decoder, each a program.

The decoder's own keys and values are states; those of cross-attention are computed once for a
window, by the encoder's program, and given to each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats import copy_text_files, read_options
from zoo.formats.coreml import causal_mask

from zoo_coreai.options import BuildOptions
from zoo_coreai.running import SUFFIX, Program, State, copy_of
from zoo_coreai.writing import Names, write_program
from zoo_whisper.config import WhisperConfig, read_whisper_config
from zoo_whisper.model import WhisperModel, feature_extractor
from zoo_whisper.weights import HEAD, Weights

SPECTROGRAM, ENCODER, DECODER = (
    f"{name}{SUFFIX}" for name in ("spectrogram", "encoder", "decoder")
)
MOST = 32
"""Tokens that go through the decoder at once."""


class CoreAIWhisper(WhisperModel):
    """A build of this module: three programs beside the checkpoint's config and tokenizer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spectrogram, self.encoder, self.decoder = (
            Program(folder / name) for name in (SPECTROGRAM, ENCODER, DECODER)
        )

    def features(self, samples: Any) -> Any:
        return self.spectrogram.predict({"samples": samples[None]})["mel"]

    def listen(self, samples: Any) -> _Window:
        return _Window(self, self.encoder.predict({"mel": self.features(samples)}))

    def encoded(self, samples: Any) -> Any:
        import numpy as np

        self.require_open()
        return np.asarray(self.listen(samples).audio["hidden"][0], np.float32)

    def close(self) -> None:
        super().close()
        for program in (self.spectrogram, self.encoder, self.decoder):
            program.close()


class _Window:
    """One window of audio, encoded."""

    def __init__(self, model: CoreAIWhisper, audio: dict[str, Any]) -> None:
        self.model, self.audio = model, audio

    def begin(self) -> _Writing:
        return _Writing(self, self.model.decoder.make_state(), 0)

    def attention(self, tokens: Sequence[int]) -> Any:
        import numpy as np

        writing = self.begin()
        writing.go_on(tokens)
        return np.concatenate(writing.attention, axis=2)[0].astype(np.float32)


class _Writing:
    """A decoder that remembers the tokens that it was given."""

    def __init__(self, window: _Window, state: State, length: int) -> None:
        self.window, self.state, self.length = window, state, length
        self.attention: list[Any] = []

    def go_on(self, tokens: Sequence[int]) -> Any:
        import numpy as np

        found, self.attention = [], []
        for start in range(0, len(tokens), MOST):
            part = list(tokens[start : start + MOST])
            self.length += len(part)
            given = {
                "tokens": np.array([part]),
                "mask": causal_mask(len(part), self.length),
                "keys": self.window.audio["keys"],
                "values": self.window.audio["values"],
            }
            out = self.window.model.decoder.predict(given, self.state)
            found.append(out["logits"][0].astype(np.float32))
            if "attention" in out:
                self.attention.append(out["attention"])
        return np.concatenate(found)

    def fork(self) -> Self:
        return type(self)(self.window, copy_of(self.state), self.length)


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe, build: zoo.Build, source: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    kind = _type(read_options(BuildOptions, recipe, build))
    config = read_whisper_config(source)
    import torch

    from zoo_coreai.whisper_module import Decoder
    from zoo_whisper.module import Encoder, Memory, Spectrogram

    encoder, decoder = Encoder(config), Decoder(config)
    _load(source, config, encoder, decoder)
    encoder, decoder = encoder.eval().to(kind), decoder.eval().to(kind)
    filters = torch.from_numpy(feature_extractor(config).mel_filters)
    write_program(
        Spectrogram(filters).eval(),
        [torch.zeros(1, config.window)],
        Names(["samples"], ["mel"]),
        workdir / SPECTROGRAM,
        recipe,
    )
    progress.update(1, 3, "programs")
    write_program(
        Memory(encoder, decoder),
        [torch.zeros(1, config.mels, 2 * config.frames, dtype=kind)],
        Names(["mel"], ["hidden", "keys", "values"]),
        workdir / ENCODER,
        recipe,
    )
    progress.update(2, 3, "programs")
    _write_decoder(config, decoder, kind, workdir / DECODER, recipe)
    progress.update(3, 3, "programs")
    copy_text_files(source, workdir, left_out=())
    return workdir


def _write_decoder(
    config: WhisperConfig, decoder: Any, kind: Any, path: Path, recipe: zoo.Recipe
) -> None:
    import torch

    heads = config.decoder_heads
    audio = config.decoder_layers, heads, config.frames, config.width // heads
    given = torch.export.Dim("given", min=1, max=min(MOST, config.context))
    end = torch.export.Dim("end", min=1, max=config.context)
    write_program(
        decoder,
        [
            torch.zeros((1, 3), dtype=torch.int32),
            torch.zeros(1, 1, 3, 7, dtype=kind),
            *(torch.zeros(audio, dtype=kind) for _ in range(2)),
        ],
        Names(
            ["tokens", "mask", "keys", "values"],
            ["logits", "attention"] if config.heads else ["logits"],
            ["keyCache", "valueCache"],
        ),
        path,
        recipe,
        {"tokens": {1: given}, "mask": {2: given, 3: end}, "audio_keys": {}, "audio_values": {}},
    )


def _load(source: Path, config: WhisperConfig, encoder: Any, decoder: Any) -> None:
    """Fill the modules with the checkpoint's weights."""
    import torch

    weights = {
        name: torch.from_numpy(array) for name, array in Weights(source, config).all().items()
    }
    if not config.tied:
        weights[f"decoder.{HEAD}"] = weights.pop(HEAD)
    both = torch.nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    both.load_state_dict(weights, strict=True, assign=True)


def _type(options: BuildOptions) -> Any:
    import torch

    return getattr(torch, options.precision)


@zoo.hookimpl
def run(artifact: Path) -> zoo.SpeechModel:
    return CoreAIWhisper(artifact)
