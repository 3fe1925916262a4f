"""Whisper by Core AI: spectrogram, encoder and decoder, each a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import zoo
from zoo.formats import read_options

from zoo_coreai.options import BuildOptions
from zoo_coreai.running import SUFFIX, copy_of, opened
from zoo_coreai.writing import Names, write_program
from zoo_whisper import programs
from zoo_whisper.programs import SPECTROGRAM, Flexible, Shape, WhisperPrograms, example_of


class CoreAIWhisper(WhisperPrograms):
    """A build of this module."""

    def __init__(self, folder: Path) -> None:
        self._programs = ExitStack()
        super().__init__(folder, SUFFIX, lambda path: opened(path, self._programs))

    def copied(self, state: Any) -> Any:
        return copy_of(state)

    def close(self) -> None:
        super().close()
        self._programs.close()


class Conversion(programs.Conversion):
    """The conversion of one checkpoint.

    Args:
        recipe: the source of the metadata in the programs.
        source: the checkpoint's folder.
        workdir: where the programs go.
        options: of the build.
    """

    def __init__(
        self, recipe: zoo.Recipe, source: Path, workdir: Path, options: BuildOptions
    ) -> None:
        import torch

        super().__init__(source, workdir)
        self.recipe, self.kind = recipe, getattr(torch, options.precision)

    def make_decoder(self) -> Any:
        from zoo_coreai.whisper_module import Decoder

        return Decoder(self.config)

    def write(
        self,
        module: Any,
        inputs: Mapping[str, Shape],
        outputs: Sequence[str],
        name: str,
        states: Sequence[str] = (),
    ) -> None:
        import torch

        kind = torch.float32 if name == SPECTROGRAM else self.kind
        axes = {axis for shape in inputs.values() for axis in shape if isinstance(axis, Flexible)}
        sizes = {axis: torch.export.Dim(axis.name, min=1, max=axis.most) for axis in axes}
        write_program(
            module.eval().to(kind),
            example_of(inputs, kind),
            Names(list(inputs), outputs, states),
            self.workdir / f"{name}{SUFFIX}",
            self.recipe,
            [
                {place: sizes[axis] for place, axis in enumerate(shape) if axis in axes}
                for shape in inputs.values()
            ],
        )


@zoo.hookimpl
def convert(
    recipe: zoo.Recipe, build: zoo.Build, source: Path, workdir: Path, progress: zoo.Progress
) -> Path:
    options = read_options(BuildOptions, recipe, build)
    Conversion(recipe, source, workdir, options).run(progress)
    return workdir


@zoo.hookimpl
def run(artifact: Path) -> zoo.SpeechModel:
    return CoreAIWhisper(artifact)
