"""Choose the bits of each weight by what they cost the model, within a budget.

Each weight is stored in each number of bits in turn, all others whole, and the harm is measured at
the model's output. The bits are then spent where they take away most harm for each bit, which is
the best choice as far as harms add up. How far they do is measured at the end, with all weights
stored as chosen. The idea is that of mixed-bit palettes in
https://github.com/apple/ml-stable-diffusion; the allocation is Shoham and Gersho's (1988).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from zoo.errors import RecipeError
from zoo.formats.coreml.encoding import Scheme, encode, stored_bits
from zoo.formats.coreml.package import decompress

SMALL = 50_000_000
"""Weights below which a model runs quicker on one thread, on a machine with other work: 30 seconds
in place of 190 for the miniature of Mistral, on two busy cores."""

Harm = Callable[[], float]
"""Measures how far the model, with its weights as they are now, strays; 0 when it does not."""


@dataclass(frozen=True)
class Candidate:
    """A weight of a program that is ready to run, and how it could be stored.

    Attributes:
        tensor: the PyTorch tensor that the program uses. It is changed and put back.
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

    def store(self, bits: int) -> None:
        """Change the tensor to what it would be when it is stored so."""
        import torch

        turned = self.tensor.movedim(self.axes, (0, 1))
        stored = approximation(turned.float().numpy(), self.schemes[bits])
        turned.copy_(torch.from_numpy(stored.astype("float32")))


@dataclass(frozen=True)
class Choice:
    """What was chosen, and what was measured.

    Attributes:
        bits: of each weight.
        harms: for each weight and number of bits, the harm of storing that weight alone so.
        harm: of storing all weights as chosen.
    """

    bits: dict[str, int]
    harms: dict[str, dict[int, float]]
    harm: float

    @property
    def figures(self) -> dict[str, float]:
        """The harm, and what it would be if harms added up."""
        added = sum(self.harms[name][bits] for name, bits in self.bits.items())
        return {"harm": self.harm, "harm_if_harms_added_up": added}


def choose(
    candidates: Mapping[str, Candidate],
    budget: int,
    harm: Harm,
    progress: Callable[[int, int], None],
) -> Choice:
    """The bits of each weight that harm the model least, within a budget.

    The weights are left as they would be stored.

    Args:
        candidates: the weights, by name.
        budget: most bits that all of them may take on disk.
        harm: runs the program, and judges what it gives.
        progress: is told how many of how many trials are done.

    Raises:
        RecipeError: the smallest choices are more than the budget.
    """
    sizes = {name: candidate.sizes for name, candidate in candidates.items()}
    allocate({name: dict.fromkeys(some, 0.0) for name, some in sizes.items()}, sizes, budget)
    harms = measure(candidates, harm, progress)
    chosen = allocate(harms, sizes, budget)
    for name, bits in chosen.items():
        candidates[name].store(bits)
    return Choice(chosen, harms, harm())


def measure(
    candidates: Mapping[str, Candidate], harm: Harm, progress: Callable[[int, int], None]
) -> dict[str, dict[int, float]]:
    """For each weight and number of bits, the harm of storing that weight alone so."""
    total = sum(len(candidate.schemes) for candidate in candidates.values())
    found: dict[str, dict[int, float]] = {name: {} for name in candidates}
    done = 0
    with _threads(sum(candidate.tensor.numel() for candidate in candidates.values())):
        for name, candidate in candidates.items():
            whole = candidate.tensor.clone()
            for bits in candidate.schemes:
                candidate.store(bits)
                found[name][bits] = harm()
                candidate.tensor.copy_(whole)
                done += 1
                progress(done, total)
    return found


@contextmanager
def _threads(weights: int) -> Iterator[None]:
    """One thread for a small model: waiting for the others takes longer than what they do."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if weights < SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def approximation(weight: Any, scheme: Scheme) -> Any:
    """The float16 array that Core ML computes with, for a weight stored densely by this scheme."""
    made = encode(weight, scheme)
    if "data" in made:
        return decompress("constexpr_blockwise_shift_scale", made)[0]
    if "indices" in made:
        return decompress("constexpr_lut_to_dense", made)[0]
    return made[""]


def allocate(
    harms: Mapping[str, Mapping[int, float]],
    sizes: Mapping[str, Mapping[int, int]],
    budget: int,
) -> dict[str, int]:
    """The number of bits of each weight that harms least within the budget, if harms add up.

    Args:
        harms: for each weight and number of bits, the harm.
        sizes: the same for the bits that the whole weight takes on disk.
        budget: most bits that all may take.

    Raises:
        RecipeError: the smallest choices are more than the budget.
    """
    chosen = {name: min(choices, key=choices.__getitem__) for name, choices in sizes.items()}
    spent = sum(sizes[name][bits] for name, bits in chosen.items())
    if spent > budget:
        weights = f"{spent / budget:.2f} times"
        raise RecipeError(
            f"the fewest bits that are allowed take {weights} the bits_per_weight asked for",
            hint="allow more bits_per_weight, or fewer bits among 'choices'",
        )
    while steps := [
        (gain / (sizes[name][bits] - sizes[name][now]), name, bits)
        for name, now in chosen.items()
        for bits in sizes[name]
        if 0 < sizes[name][bits] - sizes[name][now] <= budget - spent
        and (gain := harms[name][now] - harms[name][bits]) > 0
    ]:
        _, name, bits = max(steps)
        spent += sizes[name][bits] - sizes[name][chosen[name]]
        chosen[name] = bits
    return chosen
