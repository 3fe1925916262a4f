"""Whisper by Core ML: spectrogram, encoder and decoder, each a package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zoo
from zoo.formats.coreml import Input, about, open_program, write_traced
from zoo_whisper import programs
from zoo_whisper.programs import (
    DECODER,
    ENCODER,
    SPECTROGRAM,
    STATES,
    Flexible,
    Shape,
    WhisperPrograms,
    example_of,
)

SUFFIX = ".mlpackage"


class CoreMLWhisper(WhisperPrograms):
    """A build of this module."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SUFFIX, open_program)

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
        recipe: says what the packages tell of themselves.
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


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe,
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
    Conversion(recipe, source, workdir).run(progress)
    return workdir


@zoo.hookimpl
def run(artifact: Path) -> zoo.SpeechModel:
    return CoreMLWhisper(artifact)
