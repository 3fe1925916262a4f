"""Choose the bits of each weight by what they cost the model, within a budget.

Each weight is stored in each number of bits in turn, all others whole, and the harm is measured at
the model's output. The bits are then spent where they take away most harm for each bit, which is
the best choice as far as harms add up. How far they do is measured at the end, with all weights
stored as chosen. The idea is that of mixed-bit palettes in
https://github.com/apple/ml-stable-diffusion; the allocation is Shoham and Gersho's (1988).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoo.errors import RecipeError
from zoo.formats.coreml.encoding import Scheme, encode
from zoo.formats.coreml.package import decompress

Harm = Callable[[], float]
"""Measures how far the model, with its weights as they are now, strays; 0 when it does not."""


def approximation(weight: Any, scheme: Scheme) -> Any:
    """The float16 array that Core ML computes with, for a weight stored densely by this scheme."""
    made = encode(weight, scheme)
    if "data" in made:
        return decompress("constexpr_blockwise_shift_scale", made)[0]
    if "indices" in made:
        return decompress("constexpr_lut_to_dense", made)[0]
    return made[""]


def measure(
    tensors: Mapping[str, Any],
    schemes: Mapping[str, Mapping[int, Scheme]],
    harm: Harm,
    progress: Callable[[int, int], None],
) -> dict[str, dict[int, float]]:
    """For each weight and number of bits, the harm of storing that weight alone so.

    Args:
        tensors: the weights of a program that is ready to run, as the PyTorch tensors that it uses.
            They are changed and put back.
        schemes: for each weight, the schemes to try by their bits.
        harm: runs the program.
        progress: is told how many of how many trials are done.
    """
    total, done = sum(map(len, schemes.values())), 0
    found: dict[str, dict[int, float]] = {}
    for name, choices in schemes.items():
        tensor, whole = tensors[name], tensors[name].clone()
        for bits, scheme in choices.items():
            store_all({name: tensor}, {name: scheme})
            found.setdefault(name, {})[bits] = harm()
            tensor.copy_(whole)
            done += 1
            progress(done, total)
    return found


def store_all(tensors: Mapping[str, Any], schemes: Mapping[str, Scheme]) -> None:
    """Change weights of a program, PyTorch tensors, to what they would be stored as."""
    import torch

    for name, scheme in schemes.items():
        stored = approximation(tensors[name].float().numpy(), scheme)
        tensors[name].copy_(torch.from_numpy(stored.astype("float32")))


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
