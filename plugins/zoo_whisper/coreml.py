"""Whisper by Core ML: spectrogram, encoder and decoder, each a package.

The decoder's own keys and values are a state; those of cross-attention are computed once for a
window, by the encoder's package, and given to each call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import zoo
from zoo.formats import copy_text_files
from zoo.formats.coreml import Input, Metadata, about, causal_mask, open_program, write_traced
from zoo_whisper.config import WhisperConfig, read_whisper_config
from zoo_whisper.model import WhisperModel, feature_extractor
from zoo_whisper.weights import HEAD, Weights

SPECTROGRAM, ENCODER, DECODER = "spectrogram", "encoder", "decoder"
MOST = 32
"""Tokens that go through the decoder at once."""


class CoreMLWhisper(WhisperModel):
    """A build of this module: three packages beside the checkpoint's config and tokenizer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.spectrogram, self.encoder, self.decoder = (
            open_program(folder / f"{name}.mlpackage") for name in (SPECTROGRAM, ENCODER, DECODER)
        )

    def features(self, samples: Any) -> Any:
        return self.spectrogram.predict({"samples": samples[None]})["mel"]

    def listen(self, samples: Any) -> _Window:
        return _Window(self, self.encoder.predict({"mel": self.features(samples)}))

    def encoded(self, samples: Any) -> Any:
        import numpy as np

        self.require_open()
        return np.asarray(self.listen(samples).encoded["hidden"][0], np.float32)

    def close(self) -> None:
        super().close()
        self.drop("spectrogram", "encoder", "decoder")


class _Window:
    def __init__(self, model: CoreMLWhisper, encoded: Any) -> None:
        self.model, self.encoded = model, encoded

    def begin(self) -> _Writing:
        return _Writing(self, self.model.decoder.make_state(), 0)

    def attention(self, tokens: Sequence[int]) -> Any:
        import numpy as np

        writing = self.begin()
        writing.go_on(tokens)
        return np.concatenate(writing.attention, axis=2)[0]


class _Writing:
    def __init__(self, window: _Window, state: Any, length: int) -> None:
        self.window, self.state, self.length = window, state, length
        self.attention: list[Any] = []

    def go_on(self, tokens: Sequence[int]) -> Any:
        import numpy as np

        found = []
        self.attention = []
        for start in range(0, len(tokens), MOST):
            part = list(tokens[start : start + MOST])
            self.length += len(part)
            given = {
                "tokens": np.array([part], np.int32),
                "mask": causal_mask(len(part), self.length),
                "keys": self.window.encoded["keys"],
                "values": self.window.encoded["values"],
            }
            out = self.window.model.decoder.predict(given, self.state)
            found.append(np.asarray(out["logits"][0], np.float32))
            if "crossAttention" in out:
                self.attention.append(out["crossAttention"])
        return np.concatenate(found)

    def fork(self) -> Self:
        fresh = type(self)(self.window, self.window.model.decoder.make_state(), self.length)
        if isinstance(self.state, dict):
            fresh.state = {name: value.clone() for name, value in self.state.items()}
        else:
            for name in ("keyCache", "valueCache"):
                fresh.state.write_state(name, self.state.read_state(name))
        return fresh


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe,
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    progress: zoo.Progress,
) -> Path:
    import torch

    from zoo_whisper.module import Decoder, Encoder, Memory, Spectrogram

    if adapters:
        raise zoo.InputError(
            f"Whisper in Core ML takes no LoRA adapter, and was given '{next(iter(adapters))}'",
            "merge it into the checkpoint by PEFT's merge_and_unload and save_pretrained, and give "
            "that folder; torch and mlx take adapters as they are",
        )
    config = read_whisper_config(source)
    encoder, decoder = Encoder(config), Decoder(config)
    _load(source, config, encoder, decoder)
    extractor = feature_extractor(config)
    write_traced(
        Spectrogram(torch.from_numpy(extractor.mel_filters)),
        {"samples": Input((1, config.window), "float32")},
        [torch.zeros(1, config.window)],
        ["mel"],
        workdir / f"{SPECTROGRAM}.mlpackage",
        metadata=about(recipe, units="cpuOnly"),
        keep_float32=lambda operation: True,
    )
    progress.update(1, 3, "packages")
    mel = 1, config.mels, 2 * config.frames
    write_traced(
        Memory(encoder, decoder),
        {"mel": Input(mel, "float32")},
        [torch.zeros(mel)],
        ["hidden", "keys", "values"],
        workdir / f"{ENCODER}.mlpackage",
        metadata=about(recipe),
    )
    progress.update(2, 3, "packages")
    described = about(recipe, units="cpuAndGPU")
    _write_decoder(config, decoder, described, workdir / f"{DECODER}.mlpackage")
    progress.update(3, 3, "packages")
    copy_text_files(source, workdir, left_out=())
    return workdir


def _write_decoder(config: WhisperConfig, decoder: Any, described: Metadata, package: Path) -> None:
    import torch

    heads = config.decoder_heads
    memory = config.decoder_layers, heads, config.frames, config.width // heads
    write_traced(
        decoder,
        {
            "tokens": Input((1, (1, MOST)), "int32"),
            "mask": Input((1, 1, (1, MOST), (1, config.context))),
            "keys": Input(memory),
            "values": Input(memory),
        },
        [
            torch.zeros((1, 3), dtype=torch.int32),
            torch.zeros(1, 1, 3, 7),
            *[torch.zeros(memory)] * 2,
        ],
        ["logits", "crossAttention"] if config.heads else ["logits"],
        package,
        metadata=described,
        states=["keyCache", "valueCache"],
    )


def _load(source: Path, config: WhisperConfig, encoder: Any, decoder: Any) -> None:
    """Fill the modules with the checkpoint's weights."""
    import torch

    weights = {
        name: torch.from_numpy(array) for name, array in Weights(source, config).all().items()
    }
    if not config.tied:
        weights[f"decoder.{HEAD}"] = weights.pop(HEAD)
    torch.nn.ModuleDict({"encoder": encoder, "decoder": decoder}).load_state_dict(
        weights, strict=True, assign=True
    )


@zoo.hookimpl
def run(artifact: Path) -> zoo.SpeechModel:
    return CoreMLWhisper(artifact)
