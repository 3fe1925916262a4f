"""Choose the bits of each weight by what they cost the model, within a budget.

Each weight is stored in each number of bits in turn, all others whole, and the loss is measured at
the model's output. The bits are then spent where they take away most loss for each bit. As losses
do not add up, weights then exchange bits as long as the model gains with all of them as chosen.
That each weight is tried alone is the idea of mixed-bit palettes in
https://github.com/apple/ml-stable-diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.formats.coreml.compress.allocation import allocate, exchange
from zoo.formats.coreml.compress.encoding import Scheme, encode, stored_bits
from zoo.formats.coreml.package.reader import decompress
from zoo.formats.threads import fitting_threads

ROUNDS = 3
"""Of exchanges. Each costs two trials for each weight, and as many as gain something."""

SMALL = 50_000_000
"""Weights below which what they were in other bits is kept, not made again."""

Loss = Callable[[], float]
"""Measures the loss of the model with its current weights, against the original; 0 if equal."""


@dataclass(frozen=True)
class Candidate:
    """A weight of a program that is ready to run, and how it could be stored.

    Attributes:
        tensor: the PyTorch tensor that the program uses, which is changed.
        schemes: the schemes to try, by their bits; dense ones.
        axes: of the tensor's output channels and of its input channels.
    """

    tensor: Any
    schemes: Mapping[int, Scheme]
    axes: tuple[int, int] = (0, 1)

    @property
    def sizes(self) -> dict[int, int]:
        """Bits that the whole weight takes on disk, by the bits of each number."""
        shape = tuple(self.tensor.movedim(self.axes, (0, 1)).shape)
        return {bits: stored_bits(scheme, shape) for bits, scheme in self.schemes.items()}


class Trials:
    """A program whose weights are stored in one way after another.

    Args:
        candidates: the weights, by name.
        loss: runs the program, and judges what it gives.
        progress: receives the number of trials done.
    """

    def __init__(
        self,
        candidates: Mapping[str, Candidate],
        loss: Loss,
        progress: Callable[[int, int], None],
    ) -> None:
        self.candidates, self.progress = candidates, progress
        self.done = self.expected = 0
        self._loss = loss
        self._now: dict[str, int] = {}
        self._whole = {name: candidate.tensor.clone() for name, candidate in candidates.items()}
        self._kept: dict[tuple[str, int], Any] = {}
        self._size = sum(whole.numel() for whole in self._whole.values())

    def loss_of(self, bits: Mapping[str, int]) -> float:
        """The loss of storing weights in these bits, all others whole; they are left like that."""
        for name in self.candidates:
            if bits.get(name) != self._now.get(name):
                self._put(name, bits.get(name))
        with fitting_threads(self._size):
            found = self._loss()
        self.done += 1
        self.progress(self.done, max(self.done, self.expected))
        return found

    def _put(self, name: str, bits: int | None) -> None:
        candidate = self.candidates[name]
        if bits is None:
            candidate.tensor.copy_(self._whole[name])
            self._now.pop(name, None)
            return
        stored = self._kept.get((name, bits))
        if stored is None:
            stored = self._stored(name, candidate.schemes[bits])
            if self._size < SMALL:
                self._kept[name, bits] = stored
        candidate.tensor.movedim(candidate.axes, (0, 1)).copy_(stored)
        self._now[name] = bits

    def _stored(self, name: str, scheme: Scheme) -> Any:
        import torch

        turned = self._whole[name].movedim(self.candidates[name].axes, (0, 1))
        return torch.from_numpy(approximation(turned.float().numpy(), scheme))


@dataclass(frozen=True)
class Choice:
    """The bits chosen for each weight, and the losses measured.

    Attributes:
        bits: weight to bits.
        losses: weight to bits to the loss of compressing that weight alone.
        loss: loss with every weight compressed as chosen.
        loss_at_first: loss before bits were exchanged between weights.
    """

    bits: dict[str, int]
    losses: dict[str, dict[int, float]]
    loss: float
    loss_at_first: float

    @property
    def figures(self) -> dict[str, float]:
        """The loss, the loss before exchanges, and the sum of the losses of single weights."""
        added = sum(self.losses[name][bits] for name, bits in self.bits.items())
        return {
            "loss": self.loss,
            "loss_before_exchanges": self.loss_at_first,
            "loss_if_losses_added_up": added,
        }


def choose(
    candidates: Mapping[str, Candidate],
    budget: int,
    loss: Loss,
    progress: Callable[[int, int], None],
    rounds: int = ROUNDS,
) -> Choice:
    """The bits of each weight with the least loss, within a budget.

    The weights are left as they would be stored.

    Args:
        candidates: the weights, by name.
        budget: most bits that all of them may take on disk.
        loss: runs the program, and judges what it gives.
        progress: receives the number of trials done.
        rounds: of exchanges, at most.

    Raises:
        RecipeError: the smallest choices are more than the budget.
    """
    sizes = {name: candidate.sizes for name, candidate in candidates.items()}
    allocate({name: dict.fromkeys(some, 0.0) for name, some in sizes.items()}, sizes, budget)
    trials = Trials(candidates, loss, progress)
    trials.expected = sum(map(len, sizes.values())) + rounds * 2 * len(sizes)
    losses = measure(trials)
    first = allocate(losses, sizes, budget)
    at_first = trials.loss_of(first)
    chosen, _ = exchange(first, sizes, budget, trials.loss_of, rounds)
    return Choice(chosen, losses, trials.loss_of(chosen), at_first)


def measure(trials: Trials) -> dict[str, dict[int, float]]:
    """For each weight and number of bits, the loss of storing that weight alone so."""
    return {
        name: {bits: trials.loss_of({name: bits}) for bits in candidate.schemes}
        for name, candidate in trials.candidates.items()
    }


def approximation(weight: Any, scheme: Scheme) -> Any:
    """The float16 array that Core ML computes with, for a weight stored densely by this scheme."""
    made = encode(weight, scheme)
    if "data" in made:
        return decompress("constexpr_blockwise_shift_scale", made)[0]
    if "indices" in made:
        return decompress("constexpr_lut_to_dense", made)[0]
    return made[""]
