"""The pass `mixed` of language models: the bits of each weight, chosen on a calibration text."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.catalogs.recipe import Recipe
from zoo.errors import RecipeError
from zoo.formats.coreml.compress.encoding import FULL, Keep, Scheme, plain_name
from zoo.formats.coreml.compress.passes import Mixed, MixedText, Palettize, Passes
from zoo.formats.coreml.compress.trials import Candidate, Choice, choose
from zoo.formats.coreml.convert.streaming import Metadata
from zoo.formats.coreml.execute.constants import Constants
from zoo.formats.coreml.execute.program import ReferenceProgram
from zoo.formats.coreml.language.decoder import write_decoder
from zoo.formats.coreml.language.model import CoreMLTextModel
from zoo.formats.coreml.language.run import FlexibleDecoder
from zoo.formats.coreml.language.spec import DecoderSpec
from zoo.formats.coreml.package.reader import Package
from zoo.formats.tensors import Tensors
from zoo.progress import Progress
from zoo.tasks.text.tokenizer import Tokenizer

WINDOW = 256
"""Tokens that are read at once."""


def choose_bits(
    recipe: Recipe,
    spec: DecoderSpec,
    source: Path,
    options: MixedText,
    workdir: Path,
    progress: Progress,
) -> tuple[Passes, Choice]:
    """The passes that store each weight in the bits chosen for it, and what was measured.

    A float16 build is made aside and run for each weight and number of bits, so the model must fit
    this machine's memory.

    Args:
        recipe: beside it lies the calibration text.
        spec: the decoder.
        source: the checkpoint, with its tokenizer.
        options: the pass.
        workdir: where there is room for the float16 build.
        progress: receives the trials.

    Raises:
        RecipeError: there is no calibration text, or no choice fits the budget.
    """
    text = recipe.home / options.calibration
    if not text.is_file():
        raise RecipeError(f"'{recipe.ref}' calibrates on {text}, which does not exist")
    with TemporaryDirectory(dir=workdir, prefix=".whole-") as name:
        package = Path(name) / "model.mlpackage"
        aside = Progress("convert")
        write_decoder(
            spec,
            Tensors(source),
            package,
            compression=Keep(),
            metadata=Metadata(),
            progress=aside,
        )
        constants = Constants(Package(package))
        program = ReferenceProgram(package, constants=constants, mode="fp32")
        model = CoreMLTextModel(FlexibleDecoder(program, spec), spec, Tokenizer(source))
        tokens = model.encode(text.read_text(encoding="utf-8"))[: options.tokens]
        windows = [tokens[start : start + WINDOW] for start in range(0, len(tokens), WINDOW)]
        wanted = [log_probabilities(model.logits(window)) for window in windows]

        def loss() -> float:
            return divergence(wanted, [log_probabilities(model.logits(w)) for w in windows])

        in_use = constants.of(constants.package.function()[1])
        matrices = {name: shape for name, shape in spec.shapes.items() if len(shape) > 1}
        candidates = {
            name: Candidate(in_use[plain_name(name)], _choices(options, shape))
            for name, shape in matrices.items()
        }
        rest = sum(prod(shape) for name, shape in spec.shapes.items() if name not in matrices)
        total = sum(map(prod, spec.shapes.values()))
        budget = int(options.bits_per_weight * total) - FULL * rest
        choice = choose(
            candidates, budget, loss, lambda done, total: progress.update(done, total, "trials")
        )
    stored = Palettize(group_size=options.group_size, target=options.target, layers=choice.bits)
    return Passes(stored), choice


def _choices(options: Mixed, shape: tuple[int, ...]) -> dict[int, Scheme]:
    stored = Palettize(group_size=options.group_size, target=options.target)
    schemes = {bits: stored.stored(bits) for bits in options.choices}
    fitting = {bits: scheme for bits, scheme in schemes.items() if not scheme.obstacle(shape)}
    return fitting or {FULL: Scheme()}


def log_probabilities(logits: Any) -> Any:
    """Logits of shape (positions, vocabulary) as float32 logarithms of probabilities."""
    import torch

    return torch.from_numpy(logits).log_softmax(-1)


def divergence(wanted: Sequence[Any], found: Sequence[Any]) -> float:
    """The mean Kullback-Leibler divergence over all positions, in nats."""
    import torch

    parts = [(w.exp() * (w - f)).sum(-1) for w, f in zip(wanted, found, strict=True)]
    return float(torch.cat(parts).mean())
