"""Whisper by Core ML: spectrogram, encoder and decoder, each a package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import zoo
from zoo.formats import read_options
from zoo.formats.coreml import Input, about, open_program, write_traced
from zoo_whisper import programs
from zoo_whisper.programs import (
    ATTENTION,
    DECODER,
    ENCODER,
    SPECTROGRAM,
    STATES,
    Flexible,
    Shape,
    WhisperPrograms,
    example_of,
)
from zoo_whisper.static import (
    EMBEDDINGS,
    Embeddings,
    logits_names,
    state_length,
    write_embeddings,
)

SUFFIX = ".mlpackage"


class CoreMLWhisper(WhisperPrograms):
    """A build of this module."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SUFFIX, open_program)
        self.embeddings: Embeddings | None = None
        if (path := folder / EMBEDDINGS).is_file():
            self.embeddings, self.most = Embeddings(path), 1

    def decode(
        self, tokens: Sequence[int], length: int, encoded: Mapping[str, Any], state: Any
    ) -> Mapping[str, Any]:
        import numpy as np

        if self.embeddings is None:
            return super().decode(tokens, length, encoded, state)
        (token,) = tokens
        given = self.embeddings.inputs(token, length - 1, state_length(self.config))
        memory = {name: encoded[name] for name in ("keys", "values")}
        found = self.decoder.predict({**given, **memory}, state)
        logits = [found[name] for name in logits_names(self.config)]
        shown = {ATTENTION: found[ATTENTION]} if ATTENTION in found else {}
        return {"logits": np.concatenate(logits, 1)[None], **shown}

    def copied(self, state: Any) -> Any:
        if isinstance(state, dict):
            return {name: value.clone() for name, value in state.items()}
        fresh = self.decoder.make_state()
        for name in STATES:
            fresh.write_state(name, state.read_state(name))
        return fresh


class Conversion(programs.Conversion):
    """The conversion of one checkpoint.

    Args:
        recipe: the source of the metadata in the packages.
        source: the checkpoint's folder.
        workdir: where the packages go.
    """

    counted = "packages"

    def __init__(self, recipe: zoo.Recipe, source: Path, workdir: Path) -> None:
        super().__init__(source, workdir)
        self.about = {
            SPECTROGRAM: about(recipe, units="cpuOnly"),
            ENCODER: about(recipe),
            DECODER: about(recipe, units="cpuAndGPU"),
        }

    def write(
        self,
        module: Any,
        inputs: Mapping[str, Shape],
        outputs: Sequence[str],
        name: str,
        states: Sequence[str] = (),
    ) -> None:
        import torch

        kind = "float16" if name == DECODER else "float32"
        write_traced(
            module,
            {
                given: Input(
                    tuple((1, n.most) if isinstance(n, Flexible) else n for n in shape),
                    "int32" if given == "tokens" else kind,
                )
                for given, shape in inputs.items()
            },
            example_of(inputs, torch.float32),
            outputs,
            self.workdir / f"{name}{SUFFIX}",
            metadata=self.about[name],
            states=states,
            keep_float32=lambda operation: name == SPECTROGRAM,
        )


class StaticConversion(Conversion):
    """The conversion of one checkpoint for the Neural Engine; the arguments are the same."""

    def __init__(self, recipe: zoo.Recipe, source: Path, workdir: Path) -> None:
        super().__init__(recipe, source, workdir)
        self.about |= {
            name: about(recipe, units="cpuAndNeuralEngine") for name in (ENCODER, DECODER)
        }

    def write_encoder(self, encoder: Any, decoder: Any) -> None:
        from zoo_whisper.static_module import StaticMemory

        mel = {"mel": (1, self.config.mels, 2 * self.config.frames)}
        self.write(StaticMemory(encoder, decoder), mel, ["hidden", "keys", "values"], ENCODER)

    def write_decoder(self, decoder: Any) -> None:
        from zoo_whisper.static_module import StaticDecoder

        config, length = self.config, state_length(self.config)
        tables = (decoder.embed_tokens, decoder.embed_positions)
        write_embeddings(self.workdir / EMBEDDINGS, *(t.weight.detach().numpy() for t in tables))
        heads = config.decoder_heads
        memory = config.decoder_layers, heads, config.width // heads, config.frames
        inputs: dict[str, Shape] = {
            "hiddenStates": (1, 1, 1, config.width),
            "causalMask": (1, 1, 1, length),
            "cacheUpdateMask": (1, 1, 1, length),
            "keys": memory,
            "values": memory,
        }
        outputs = logits_names(config) + ([ATTENTION] if config.heads else [])
        self.write(StaticDecoder(config, decoder), inputs, outputs, DECODER, STATES)


@dataclass(frozen=True)
class WhisperOptions:
    """Options of a build in the format `coreml`."""

    target: Literal["gpu", "neural-engine"] = field(
        default="gpu",
        metadata={
            "doc": "`neural-engine` has static shapes and 1x1 convolutions, and a decoder that "
            "takes one token at a time"
        },
    )


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe,
    build: zoo.Build,
    source: Path,
    adapters: Mapping[str, Path],
    workdir: Path,
    progress: zoo.Progress,
) -> Path:
    if adapters:
        raise zoo.InputError(
            f"Whisper in Core ML takes no LoRA adapter, and was given '{next(iter(adapters))}'",
            "merge it into the checkpoint by PEFT's merge_and_unload and save_pretrained, and give "
            "that folder; torch and mlx take adapters as they are",
        )
    options = read_options(WhisperOptions, recipe, build)
    kind = StaticConversion if options.target == "neural-engine" else Conversion
    kind(recipe, source, workdir).run(progress)
    return workdir


@zoo.hookimpl
def run(artifact: Path) -> zoo.SpeechModel:
    return CoreMLWhisper(artifact)
